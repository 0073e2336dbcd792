import { resolve } from 'node:path'
import { Checks } from '../checks.ts'
import { warn } from '../diagnostics.ts'
import type { Store, SubjectIndex } from '../store.ts'
import { settle, type Awaitable, type Milliseconds } from '../units.ts'
import { isCurrent, load } from './file/reading.ts'
import { remove } from './file/removing.ts'
import { inspectRoot, located } from './file/root.ts'
import { fileSubjects } from './file/subjects.ts'
import { Sweeper } from './file/sweeper.ts'
import { save, touch } from './file/writing.ts'
import { checkedInterval, pruneRegularly } from './prune-timer.ts'

/** How `fileStore` behaves. */
export interface FileStoreOptions {
  /**
   * The directory of the sessions, relative to the working directory at construction. The store makes it with the first
   * session. A directory that exists already must belong to the user of this process, and not be writable by everybody.
   */
  readonly directory: string
  /**
   * Whether a saved record survives a loss of power too. Without it, a record survives the end of any process. With it, a
   * write takes some ten times longer. Default `false`.
   */
  readonly durable?: boolean
  /** How often expired sessions and leftovers are removed, in milliseconds; 0 for never. Default 900 000 (15 minutes). */
  readonly pruneInterval?: Milliseconds
  /**
   * How old the leftovers of a process that died must be before they are removed, in milliseconds. It must exceed the
   * longest time for which a process may be stopped in the middle of a save. Default 3 600 000 (an hour).
   */
  readonly grace?: Milliseconds
  /**
   * Is told of a pruning that failed, or that had to leave something. The same trouble is told once, until a pruning
   * goes well again. Default: a warning of the process, `SESSION_PRUNE_FAILED`.
   */
  readonly onError?: (error: unknown) => void
}

const MINUTE: Milliseconds = 60_000
const checks = new Checks('fileStore')
const OPTIONS: readonly (keyof FileStoreOptions)[] = ['directory', 'durable', 'pruneInterval', 'grace', 'onError']

/**
 * Keeps sessions as files, for the processes of one host: any number of them may share the directory. There is no
 * lock that a killed process could leave behind, and no half-written record (`file/layout.ts` says why).
 *
 * For local file systems only. NFS and its like may answer a rename that succeeded with "no such file", and keep answers
 * about files in caches of their own; use a server for sessions on several hosts.
 *
 * File calls on a request's way are synchronous: a read is 14 times cheaper than through promises, and takes less time
 * than the wait for a thread. What the file system refuses is thrown with its code (`EACCES`, `EROFS`, `ENOSPC`, …) and
 * the directory. A root that others may write to is `ERR_SESSION_OPTION` at the first use; in an application, that is
 * the `cause` of an `ERR_SESSION_STORE_UNAVAILABLE`.
 */
export function fileStore(options: FileStoreOptions): Store {
  const { root, durable, pruneInterval, grace, onError } = checked(options)
  const place = { root, durable }
  const sweeper = new Sweeper(root, grace, onError)
  const index = fileSubjects(root, durable)
  const stopPruning = pruneRegularly(pruneInterval, () => sweeper.prune(), sweeper.report)
  let isInspected = false

  /** Every use of the root: it must be one that can be trusted, and what goes wrong names it. */
  function inRoot<Answer>(step: () => Awaitable<Answer>): Awaitable<Answer> {
    return settle(
      () => {
        isInspected ||= inspectRoot(root)
        return step()
      },
      (answer) => answer,
      (error) => {
        throw located(error, root)
      },
    )
  }

  const subjects: SubjectIndex = {
    add: (subject, key, until) => inRoot(() => index.add(subject, key, until)),
    remove: (subject, key) => inRoot(() => index.remove(subject, key)),
    async *keys(subject) {
      try {
        inspectRoot(root)
        yield* index.keys(subject)
      } catch (error) {
        throw located(error, root)
      }
    },
  }

  return {
    load: (key, _known, largest) => inRoot(() => load(root, key, largest)),
    save: (key, text, expiresAt, expected) => inRoot(() => save(place, key, text, expiresAt, expected)),
    touch: (key, expiresAt) => inRoot(() => touch(place, key, expiresAt)),
    delete: (key, expected) => inRoot(() => remove(place, key, expected)),
    isCurrent: (key, found, now) => isCurrent(root, key, found, now),
    subjects,
    keys: () => sweeper.keys(),
    prune: () => sweeper.prune(),
    async close() {
      stopPruning()
      sweeper.stop()
    },
  }
}

function checked(options: FileStoreOptions): Required<Omit<FileStoreOptions, 'directory'>> & { root: string } {
  checks.object('its argument', options)
  checks.names(options, OPTIONS)
  const { directory, durable = false, pruneInterval, grace = 60 * MINUTE, onError = warnOf } = options
  if (typeof directory !== 'string' || directory === '')
    throw checks.wrong('directory', 'must be the path of a directory', directory)
  checks.oneOf('durable', durable, [true, false])
  if (typeof grace !== 'number' || !(grace >= 0))
    throw checks.wrong('grace', 'must be a number of milliseconds, from 0 up', grace)
  checks.callable('onError', onError)
  return {
    root: resolve(directory),
    durable,
    pruneInterval: checkedInterval(checks, pruneInterval, 15 * MINUTE),
    grace,
    onError,
  }
}

function warnOf(error: unknown): void {
  warn('SESSION_PRUNE_FAILED', `fileStore could not prune or list everything: ${(error as Error).message}`)
}
