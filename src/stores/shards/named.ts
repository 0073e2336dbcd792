import { SessionError, isSessionError, reasonOf } from '../../errors.ts'
import type { Store } from '../../store.ts'
import { settle, type Awaitable } from '../../units.ts'

/** One of several servers: what fails on it says on which server. */
export function named(name: string, store: Store): Store {
  function fail(error: unknown): never {
    // All other codes are of one record, and mean that nothing was written.
    if (isSessionError(error) && error.code !== 'ERR_SESSION_STORE_UNAVAILABLE') throw error
    const reason = reasonOf(error) ?? 'see `cause`'
    throw new SessionError('ERR_SESSION_STORE_UNAVAILABLE', `server "${name}": ${reason}`, { cause: error })
  }

  function ask<Answer>(question: () => Awaitable<Answer>): Awaitable<Answer> {
    return settle(question, same, fail)
  }

  async function* each<Item>(question: () => AsyncIterable<Item>): AsyncGenerator<Item> {
    try {
      yield* question()
    } catch (error) {
      fail(error)
    }
  }

  const { subjects } = store
  return {
    ...store,
    load: (key, known, largest) => ask(() => store.load(key, known, largest)),
    save: (key, text, expiresAt, expected) => ask(() => store.save(key, text, expiresAt, expected)),
    touch: (key, expiresAt) => ask(() => store.touch(key, expiresAt)),
    delete: (key, expected) => ask(() => store.delete(key, expected)),
    ...(store.keys && { keys: () => each(() => store.keys!()) }),
    ...(subjects && {
      subjects: {
        add: (subject, key, until) => ask(() => subjects.add(subject, key, until)),
        remove: (subject, key) => ask(() => subjects.remove(subject, key)),
        keys: (subject) => each(() => subjects.keys(subject)),
      },
    }),
    ...(store.ping && { ping: async () => ask(() => store.ping!()) }),
  }
}

/** The failures of several servers as one. */
export function together(failures: readonly unknown[]): unknown {
  const [first] = failures
  if (failures.length === 1) return first
  // Once each: two servers between which sessions move are asked together, and each of them more than once.
  const reasons = new Set(failures.map((failure) => reasonOf(failure) ?? 'see `cause`'))
  return new SessionError('ERR_SESSION_STORE_UNAVAILABLE', [...reasons].join('; '), { cause: first })
}

function same<Answer>(answer: Answer): Answer {
  return answer
}
