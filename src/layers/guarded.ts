import { randomBytes } from 'node:crypto'
import { Deadline } from '../deadline.ts'
import type { Diagnostics } from '../diagnostics.ts'
import { SessionError, isSessionError, reasonOf, unreadable, type SessionErrorCode } from '../errors.ts'
import type { Found, Store, SubjectIndex } from '../store.ts'
import { isLonger, isPromise, settle, type Awaitable, type Key, type Milliseconds } from '../units.ts'

/** What a store says in its own words, because each of these means that nothing was written. */
const NOTHING_WRITTEN: readonly SessionErrorCode[] = [
  'ERR_SESSION_UNREADABLE',
  'ERR_SESSION_BUSY',
  'ERR_SESSION_TOO_LARGE',
]

/**
 * How many times larger than `maxRecordBytes` a record may be and still be read: encryption makes a third more of it, and
 * the limit may have been lowered since it was written.
 */
const READ_FACTOR = 8

/** A store that can always be asked whether it answers. */
export type GuardedStore = Store & Required<Pick<Store, 'ping'>>

/**
 * The store, with each of its failures turned into one error within one deadline. Whatever the store throws, rejects with
 * or does not answer in time becomes `ERR_SESSION_STORE_UNAVAILABLE`, with the innermost reason in the message and the store's
 * own error as `cause`. The first failure is a warning too, because nobody may look at the log of a site that answers.
 *
 * A record that is much larger than `maxRecordBytes` (default: no limit) is `ERR_SESSION_UNREADABLE` before anybody
 * decrypts or decodes it, because the work for it would be in proportion to a size that nobody has allowed.
 */
export function guarded(
  store: Store,
  deadline: Milliseconds,
  diagnostics: Diagnostics,
  maxRecordBytes: number = Infinity,
): GuardedStore {
  const { stats } = diagnostics
  const largest = maxRecordBytes * READ_FACTOR
  const patience = new Deadline(deadline)
  const tooLate = (): Error =>
    new SessionError('ERR_SESSION_STORE_UNAVAILABLE', `the store did not answer within ${deadline} ms`)

  function failed(isWrite: boolean, cause: unknown): SessionError {
    if (isSessionError(cause) && NOTHING_WRITTEN.includes(cause.code)) return cause
    stats.errors++
    const reason = reasonOf(cause) ?? 'see `cause`'
    const error = new SessionError(
      'ERR_SESSION_STORE_UNAVAILABLE',
      isWrite
        ? `The session store failed during a write, so the change may or may not be stored (${reason}).`
        : `The session store could not be read (${reason}).`,
      { cause },
    )
    diagnostics.warn('SESSION_STORE_FAILED', `${error.message} Further failures are counted in stats().errors.`)
    diagnostics.report('error', { reason: isWrite ? 'write' : 'read', error })
    return error
  }

  /** A record of which the work is in proportion to what is allowed. */
  function allowed<Text extends Found | undefined>(found: Text): Text {
    if (found !== undefined && isLonger(found.text, largest))
      throw unreadable(`it is larger than ${largest} bytes, which is ${READ_FACTOR} times \`maxRecordBytes\``)
    return found
  }

  function ask<Answer>(
    isWrite: boolean,
    question: () => Awaitable<Answer>,
    answered: (answer: Answer) => Answer = (answer) => answer,
  ): Awaitable<Answer> {
    return settle(
      () => {
        const answer = question()
        return isPromise(answer) ? patience.within(answer, tooLate) : answer
      },
      answered,
      // Reported here and not by the timer, which is in no request: a listener may ask whose session it was.
      (cause) => {
        throw failed(isWrite, cause)
      },
    )
  }

  /** What a list names, with the deadline for each step of it. */
  async function* each<Item>(list: () => AsyncIterable<Item>): AsyncGenerator<Item> {
    const steps = await ask(false, async () => list()[Symbol.asyncIterator]())
    let step: IteratorResult<Item, unknown> | undefined
    try {
      for (;;) {
        step = undefined
        step = await ask(false, () => steps.next())
        if (step.done === true) return
        yield step.value
      }
    } finally {
      const end = async (): Promise<unknown> => steps.return?.()
      // A list that has failed, or has not answered in time, is not waited for.
      if (step === undefined) end().catch(() => {})
      else if (step.done !== true) await ask(false, end)
    }
  }

  const { subjects } = store
  return {
    ...optionalPowers(store),
    ...(subjects && {
      subjects: {
        add: (subject, key, until) => ask(true, () => subjects.add(subject, key, until)),
        remove: (subject, key) => ask(true, () => subjects.remove(subject, key)),
        keys: (subject) => each(() => subjects.keys(subject)),
      } satisfies SubjectIndex,
    }),
    load: (key, known) =>
      diagnostics.trace(
        'load',
        () => {
          stats.loads++
          return ask(false, () => store.load(key, known, largest), allowed)
        },
        (found) => (found ? 'found' : 'missing'),
      ),
    save: (key, text, expiresAt, expected) =>
      diagnostics.trace(
        'save',
        () => {
          stats.saves++
          return ask(
            true,
            () => store.save(key, text, expiresAt, expected),
            (result) => {
              if (result.conflict) allowed(result.conflict)
              return result
            },
          )
        },
        (answer) => (answer.saved ? 'saved' : answer.conflict ? 'conflict' : 'gone'),
      ),
    touch: (key, expiresAt) =>
      diagnostics.trace(
        'touch',
        () => {
          stats.touches++
          return ask(true, () => store.touch(key, expiresAt))
        },
        (touched) => (touched ? 'touched' : 'gone'),
      ),
    delete: (key, expected) =>
      diagnostics.trace(
        'destroy',
        () => {
          stats.destroys++
          return ask(
            true,
            () => store.delete(key, expected),
            (result) => (typeof result === 'object' ? allowed(result) : result),
          )
        },
        (deleted) => (typeof deleted === 'object' ? 'conflict' : deleted ? 'destroyed' : 'gone'),
      ),
    // Not counted as a load: whoever watches the counters wants to know about visitors.
    ping: async () => ask(false, async () => (store.ping ? store.ping() : void (await store.load(unusedKey())))),
  }
}

/** A key that nothing lies under. */
function unusedKey(): Key {
  return randomBytes(32).toString('hex')
}

/** Optional methods stay absent if the store lacks them. */
function optionalPowers(store: Store): Partial<Store> {
  const powers: Partial<Store> = {}
  if (store.isCurrent) {
    powers.isCurrent = (key, found, now): boolean => {
      try {
        return store.isCurrent?.(key, found, now) === true
      } catch {
        return false // the load that follows reports what is wrong
      }
    }
  }
  if (store.watch) powers.watch = store.watch.bind(store)
  if (store.keys) powers.keys = store.keys.bind(store)
  if (store.prune) powers.prune = store.prune.bind(store)
  if (store.close) powers.close = store.close.bind(store)
  return powers
}
