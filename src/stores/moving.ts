import { randomUUID } from 'node:crypto'
import { Checks } from '../checks.ts'
import { DEFAULT_DEADLINE } from '../deadline.ts'
import type { Found, Listener, Store } from '../store.ts'
import type { Instant, Key } from '../units.ts'
import { isLocated, type Located } from './moving/located.ts'
import { keysOfBoth, subjectsOfBoth, watchBoth } from './moving/powers.ts'
import { TwoStores } from './moving/protocol.ts'

/** How `movingStore` behaves. */
export interface MovingStoreOptions {
  /**
   * Where new sessions are made. `'to'` (default): in the new store, and each session of the old one moves when it is next
   * saved. `'from'`: in the old store, and nothing moves; for the first of two deploys, while some nodes still know the old
   * store only.
   */
  readonly writesTo?: 'from' | 'to'
}

const checks = new Checks('movingStore')

/** All that were made, so that none is put into another one: each would take the notes of the other for its own. */
const made = new WeakSet<Store>()

/**
 * Two stores as one, while sessions move from the first to the second and the application runs. Nobody signs in again.
 *
 * Each session is in one of the two. A session that is found in `from` moves to `to` when it is next saved. An end
 * (`destroy`, `revoke`, a timeout) is final, whatever store the session is in and whatever is under way. No change that
 * was acknowledged is lost, also if processes are killed at any moment, and while nodes of both `writesTo` run side by
 * side. docs/stores.md says in which order to deploy.
 *
 * `to` must be empty at first, except for what `movingStore` has put there, and both must be reachable: an operation on a
 * session rejects if the store that it needs fails. The clocks of the nodes must agree to within some seconds.
 *
 * Round trips, as long as there are two stores: a load of a session that has moved takes 1, of one that has not 2, and of
 * a cookie without a session 3. A save in `to` takes 1, and the one that moves a session 3. A new session takes 5, and 3
 * with `writesTo: 'from'`.
 *
 * The cache works if both stores have `isCurrent`, or both have `watch`. Users can be listed, and keys, if both stores can
 * list them. `prune` prunes those that need it, and `close` closes both. There is a `ping` if both have one.
 *
 * Throws `ERR_SESSION_OPTION` if something is no store.
 */
export function movingStore(from: Store, to: Store, options: MovingStoreOptions = {}): Store {
  const writesTo = checked(from, to, options)
  const both = new TwoStores(from, to, writesTo, randomUUID)
  const store: Store = {
    deadline: (from.deadline ?? DEFAULT_DEADLINE) + (to.deadline ?? DEFAULT_DEADLINE),
    load: (key, known, largest) => both.load(key, known as Located | undefined, largest),
    save: (key, text, expiresAt, expected) => both.save(key, text, expiresAt, expected),
    touch: (key, expiresAt) => both.touch(key, expiresAt),
    delete: (key, expected) => both.delete(key, expected),
    ...(from.isCurrent &&
      to.isCurrent && {
        isCurrent(key: Key, found: Found, now?: Instant) {
          if (!isLocated(found)) return false
          return (found.place === 'to' ? to : from).isCurrent?.(key, found.inner, now) === true
        },
      }),
    ...(from.watch && to.watch && { watch: (listener: Listener) => watchBoth(from, to, listener) }),
    ...(from.keys && to.keys && { keys: () => keysOfBoth(from, to) }),
    ...(from.subjects && to.subjects && { subjects: subjectsOfBoth(from.subjects, to.subjects) }),
    ...([from, to].some((store) => typeof store.prune === 'function') && {
      prune: async () => ((await from.prune?.()) ?? 0) + ((await to.prune?.()) ?? 0),
    }),
    // If one of them has none, there is none here, and whoever wants to know loads something, which asks both.
    ...(from.ping &&
      to.ping && {
        async ping() {
          await Promise.all([from.ping?.(), to.ping?.()])
        },
      }),
    async close() {
      await Promise.all([from.close?.(), to.close?.()])
    },
  }
  made.add(store)
  return store
}

function checked(from: Store, to: Store, options: MovingStoreOptions): 'from' | 'to' {
  for (const [name, store] of [
    ['from', from],
    ['to', to],
  ] as const) {
    for (const method of ['load', 'save', 'touch', 'delete'] as const) {
      if (typeof store?.[method] === 'function') continue
      throw checks.refusal(`${name} must be a store; it has no method ${method}. ${cureOf(store)}`)
    }
    if (made.has(store))
      throw checks.refusal(`${name} is a movingStore itself. Finish the first move before you begin the next one.`)
  }
  if (from === to) throw checks.refusal('from and to are the same store, so nothing can move.')
  checks.object('its third argument', options)
  checks.names(options, ['writesTo'])
  const { writesTo = 'to' } = options
  checks.oneOf('writesTo', writesTo, ['from', 'to'])
  return writesTo
}

function cureOf(thing: unknown): string {
  if (typeof thing === 'string')
    return "A URL is not taken here: make the stores, such as fileStore({ directory: '.sessions' }) and redisStore('redis://host')."
  if (typeof thing === 'function') return 'This is a function: call it, and pass the store that it makes.'
  if (thing instanceof Promise) return 'This is a promise: await it first.'
  return 'Make it with redisStore(…), fileStore(…) or their like; a store of express-session with fromExpressStore(store).'
}
