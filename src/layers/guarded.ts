import { Deadline } from '../deadline.ts'
import type { Diagnostics } from '../diagnostics.ts'
import { SessionError, isSessionError } from '../errors.ts'
import type { Store, SubjectIndex } from '../store.ts'
import { isPromise, settle, type Awaitable, type Milliseconds } from '../units.ts'

/**
 * The store, with every failure of it turned into one error within one deadline: whatever it throws, rejects with or
 * keeps silent about becomes `ERR_SESSION_STORE_UNAVAILABLE`, with the store's own error as `cause`. Two things a store
 * may say in its own words, because both mean that nothing was written: that it cannot read a record, and that it is busy.
 */
export function guarded(store: Store, deadline: Milliseconds, diagnostics: Diagnostics): Store {
  const { stats } = diagnostics
  const patience = new Deadline(deadline)
  const tooLate = (): Error => new Error(`The store did not answer within ${deadline} ms.`)

  function failed(isWrite: boolean, cause: unknown): SessionError {
    if (isSessionError(cause, 'ERR_SESSION_UNREADABLE') || isSessionError(cause, 'ERR_SESSION_BUSY')) return cause
    stats.errors++
    const error = new SessionError(
      'ERR_SESSION_STORE_UNAVAILABLE',
      isWrite
        ? `The session store failed during a write${codeOf(cause)}, so the change may or may not be stored. See \`cause\`.`
        : `The session store could not be read${codeOf(cause)}. See \`cause\`.`,
      { cause },
    )
    diagnostics.report('error', { reason: isWrite ? 'write' : 'read', error })
    return error
  }

  function ask<Answer>(isWrite: boolean, question: () => Awaitable<Answer>): Awaitable<Answer> {
    return settle(
      () => inTime(question()),
      (answer) => answer,
      // Reported here and not by the timer, which is in no request: a listener may ask whose session it was.
      (cause) => {
        throw failed(isWrite, cause)
      },
    )
  }

  function inTime<Answer>(answer: Awaitable<Answer>): Awaitable<Answer> {
    if (!isPromise(answer)) return answer
    return new Promise<Answer>((resolve, reject) => {
      const operation = patience.begin(() => reject(tooLate()))
      answer.then(
        (value) => {
          if (patience.end(operation)) resolve(value)
        },
        (cause: unknown) => {
          if (patience.end(operation)) reject(cause)
        },
      )
    })
  }

  const { subjects } = store
  return {
    ...optionalPowers(store),
    ...(subjects && {
      subjects: {
        add: (subject, key, until) => ask(true, () => subjects.add(subject, key, until)),
        remove: (subject, key) => ask(true, () => subjects.remove(subject, key)),
        async *keys(subject) {
          try {
            yield* subjects.keys(subject)
          } catch (cause) {
            throw failed(false, cause)
          }
        },
      } satisfies SubjectIndex,
    }),
    load: (key) =>
      diagnostics.trace(
        'load',
        () => {
          stats.loads++
          return ask(false, () => store.load(key))
        },
        (found) => (found ? 'found' : 'missing'),
      ),
    save: (key, text, expiresAt, expected) =>
      diagnostics.trace(
        'save',
        () => {
          stats.saves++
          return ask(true, () => store.save(key, text, expiresAt, expected))
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
          return ask(true, () => store.delete(key, expected))
        },
        (deleted) => (typeof deleted === 'object' ? 'conflict' : deleted ? 'destroyed' : 'gone'),
      ),
  }
}

/** What is safe to repeat of the store's own error, because Koa's log shows no causes: ` (ECONNREFUSED)`. */
function codeOf(cause: unknown): string {
  const { code } = (cause ?? {}) as { code?: unknown }
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]*$/.test(code) ? ` (${code})` : ''
}

/** Powers that are not there must not seem to be there. */
function optionalPowers(store: Store): Partial<Store> {
  const powers: Partial<Store> = {}
  if (store.isCurrent) {
    powers.isCurrent = (key, found): boolean => {
      try {
        return store.isCurrent?.(key, found) === true
      } catch {
        return false // the load that follows reports what is wrong
      }
    }
  }
  if (store.watch) powers.watch = store.watch.bind(store)
  if (store.keys) powers.keys = store.keys.bind(store)
  if (store.prune) powers.prune = store.prune.bind(store)
  if (store.ping) powers.ping = store.ping.bind(store)
  if (store.close) powers.close = store.close.bind(store)
  return powers
}
