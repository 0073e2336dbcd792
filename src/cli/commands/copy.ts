import { resolve } from 'node:path'
import { isSessionError } from '../../errors.ts'
import { lookAt, visitKeys } from '../../record/scan.ts'
import { movingStore } from '../../stores/moving.ts'
import { isStand } from '../../stores/moving/texts.ts'
import { directoryOfUrl } from '../../stores/url.ts'
import type { Found } from '../../store.ts'
import type { Awaitable, Key } from '../../units.ts'
import { DONE, FAILED, NOT_FOUND, type Call, type Command, type ExitCode, type HowToOpen } from '../command.ts'
import { counted } from '../format.ts'
import type { OpenStore } from '../store.ts'
import { wrong } from '../usage.ts'

/** What became of the sessions. */
interface Counts {
  copied: number
  /** The same record was there already. */
  present: number
  /** Another record was there already, and has stayed. */
  different: number
  /** It cannot be read in the one store, or is too large for the other. */
  left: number
}

export const copy: Command = {
  summary: 'copy all sessions into another store',
  usage: 'FROM TO [--cookie NAME] [--json]',
  options: ['cookie', 'json'],
  operands: { least: 2, most: 2, what: 'the URLs of two stores, FROM and TO' },
  details: `Stop the application first, because what it writes meanwhile is not copied. To move while it runs, use movingStore.
FROM stays as it is. What is in TO already is not replaced, so the command may be stopped and started again. But
if the application has run on FROM since, empty TO first: sessions that have ended are still there.
- stands for $SESSION_STORE: a password in an argument can be seen by others. With --cookie, the users of the application
with this cookie.name are listed at once; otherwise a session is in its user's list when it is next used.
--json prints {"copied": 12, "present": 0, "different": 0, "left": 0}.`,
  async run(call) {
    const [from, to] = openBoth(call)
    const { values, terminal, signal } = call
    if (!from.raw.keys) {
      terminal.say(`koa-server-session: ${from.name} cannot tell which sessions it holds, so they cannot be copied.`)
      return NOT_FOUND
    }
    if (values.cookie !== undefined && !to.hasIndex)
      throw wrong(`${to.name} cannot tell which sessions are a user’s, so --cookie says nothing here.`)
    const keys = (): AsyncIterable<Key> => from.raw.keys?.() ?? nothing()
    const progress = terminal.progress('Counting sessions')
    if (progress.isSeen) {
      let total = 0
      await at(from, () =>
        visitKeys(
          keys(),
          async () => {
            progress.step()
            total++
          },
          signal,
        ),
      )
      progress.next('Copying sessions', total)
    }
    const counts: Counts = { copied: 0, present: 0, different: 0, left: 0 }
    const visit = async (key: Key): Promise<void> => {
      const outcome = await copyOne(key, from, to)
      if (outcome) counts[outcome]++
      progress.step()
    }
    await visitKeys(keys(), visit, signal)
    progress.end()
    return report(call, from, to, counts)
  },
}

/** Throws `ERR_SESSION_OPTION`. */
function openBoth({ operands, openStore }: Call): [from: OpenStore, to: OpenStore] {
  const [from = '', to = ''] = operands
  const [here, there] = [from, to].map((url) => directoryOfUrl(url))
  if (from === to || (here !== undefined && there !== undefined && resolve(here) === resolve(there)))
    throw wrong('FROM and TO are the same store.')
  return [openStore(named(from)), openStore({ ...named(to), isNew: true })]
}

function named(url: string): HowToOpen {
  return url === '-' ? {} : { url }
}

/** `undefined`: there is no session any more. */
async function copyOne(key: Key, from: OpenStore, to: OpenStore): Promise<keyof Counts | undefined> {
  try {
    const found = await at(from, () => from.raw.load(key))
    if (!found) return undefined
    // The application had begun to move its sessions, and has moved this one: if it was stopped in the middle, this load
    // finishes it.
    if (isStand(found)) {
      await movingStore(from.raw, to.raw).load(key)
      return undefined
    }
    const outcome = await at(to, () => put(key, found, to))
    if (outcome !== 'different' && to.hasIndex) await at(to, () => note(key, to))
    return outcome
  } catch (error) {
    if (isSessionError(error, 'ERR_SESSION_UNREADABLE') || isSessionError(error, 'ERR_SESSION_TOO_LARGE')) return 'left'
    throw error
  }
}

async function put(
  key: Key,
  { text, expiresAt }: Found,
  { raw }: OpenStore,
): Promise<'copied' | 'present' | 'different'> {
  let { saved, conflict } = await raw.save(key, text, expiresAt, undefined)
  // Of a move that did not happen, because the session is in the old store.
  if (conflict && isStand(conflict)) ({ saved, conflict } = await raw.save(key, text, expiresAt, conflict))
  if (saved) return 'copied'
  if (conflict?.text !== text) return 'different'
  await raw.touch(key, expiresAt)
  return 'present'
}

/** Notes whose session it is. */
async function note(key: Key, { store, subjects, name }: OpenStore): Promise<void> {
  const { record } = await lookAt(store, key)
  if (typeof record === 'object' && !(await subjects.notes.renew(key, record)))
    throw new Error(`The list of a user’s sessions could not be written in ${name}.`)
}

/** Says which of the two stores has failed. */
async function at<Answer>({ name }: OpenStore, work: () => Awaitable<Answer>): Promise<Answer> {
  try {
    return await work()
  } catch (error) {
    if (isSessionError(error, 'ERR_SESSION_UNREADABLE') || isSessionError(error, 'ERR_SESSION_TOO_LARGE')) throw error
    throw new Error(`${name} failed.`, { cause: error })
  }
}

async function report(
  { values, terminal, signal }: Call,
  from: OpenStore,
  to: OpenStore,
  counts: Counts,
): Promise<ExitCode> {
  const { copied, present, different, left } = counts
  if (values.json) await terminal.json(counts)
  else {
    await terminal.line(`${counted(copied, 'session')} copied from ${from.name} to ${to.name}.`)
    if (present > 0) await terminal.line(`${counted(present, 'session')} had been copied before.`)
  }
  if (different > 0)
    terminal.say(
      `${counted(different, 'session')} in ${to.name} are not as in ${from.name}, and were left as they are. If ${to.name} ` +
        'has not been in use, empty it and copy again.',
    )
  if (left > 0)
    terminal.say(`${counted(left, 'session')} stay behind: they cannot be read, or are too large for ${to.name}.`)
  if (signal.aborted) terminal.say('Stopped. Start it again to copy the rest.')
  return different + left > 0 || signal.aborted ? FAILED : DONE
}

async function* nothing(): AsyncGenerator<Key> {}
