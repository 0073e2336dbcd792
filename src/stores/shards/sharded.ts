import { DEFAULT_DEADLINE } from '../../deadline.ts'
import type { Listener, Store, SubjectIndex, Watch } from '../../store.ts'
import type { Key, Milliseconds } from '../../units.ts'
import { movingStore } from '../moving.ts'
import { recordsOf } from '../moving/powers.ts'
import { placement } from '../placement.ts'
import { merged } from './merged.ts'
import { named, together } from './named.ts'

/** So much later than its server, the store would be given up: the server's own words, with its name, come first. */
const LATER: Milliseconds = 100

/**
 * Several stores as one, each of which keeps a share of the sessions: that of its name (see `placement`). They know
 * nothing of each other. While one of them fails, its share fails, and no other one stands in. All are made alike, so
 * what one of them offers, all do.
 *
 * The notes of whose sessions there are lie beside the sessions. So they are lost, restored and cleared away together,
 * and a sign-in needs one server. A list asks all of them.
 */
export function sharded(stores: ReadonlyMap<string, Store>): Store {
  const servers = new Map(Array.from(stores, ([name, store]) => [name, named(name, store)]))
  const owner = placement(servers)
  const lists = Array.from(servers.values(), (server) => ({ server, has: (key: Key) => owner(key) === server }))
  return routed([...servers.values()], owner, [lists])
}

/**
 * The same while the list of servers changes, and the application runs. `before`, `after`: the servers of the two lists; a
 * name that is in both is one server.
 *
 * A session whose server is the same by both lists is asked for there, and takes no detour. Any other one has two servers,
 * which are to it what the two stores of a `movingStore` are. `writesTo`: as there.
 */
export function resharded(
  before: ReadonlyMap<string, Store>,
  after: ReadonlyMap<string, Store>,
  writesTo: 'from' | 'to',
): Store {
  const servers = new Map(Array.from([...before, ...after], ([name, store]) => [name, named(name, store)]))
  const among = (list: ReadonlyMap<string, Store>): ((key: Key) => Store) =>
    placement(new Map(Array.from(list.keys(), (name) => [name, servers.get(name) as Store])))
  const [ownerBefore, ownerAfter] = [among(before), among(after)]
  const routes: Store[] = []
  const pairs = new Map<Store, Map<Store, Store>>()
  for (const [name, from] of servers) {
    if (!before.has(name)) continue
    if (after.has(name)) routes.push(from)
    const moves = new Map<Store, Store>()
    pairs.set(from, moves)
    for (const [other, to] of servers) {
      // Between two servers that are in both lists nothing moves.
      if (to === from || !after.has(other) || (before.has(other) && after.has(name))) continue
      const move = movingStore(from, to, { writesTo })
      moves.set(to, move)
      routes.push(move)
    }
  }
  const isMoving = (key: Key): boolean => ownerBefore(key) !== ownerAfter(key)
  const lists: List[] = []
  const listsOfMoved: List[] = []
  for (const [name, server] of servers) {
    const has = (key: Key): boolean => ownerBefore(key) === server
    const keys = (): AsyncIterable<Key> => recordsOf(server, (key) => has(key) && isMoving(key))
    if (before.has(name)) lists.push({ server: { ...server, keys }, has })
    // Nothing moves to a server of both lists if none has gone.
    if (Array.from(pairs.values()).some((moves) => moves.has(server)))
      listsOfMoved.push({ server, has: (key) => isMoving(key) && ownerAfter(key) === server })
  }
  const routeOf = (key: Key): Store => {
    const [from, to] = [ownerBefore(key), ownerAfter(key)]
    return from === to ? from : (pairs.get(from)?.get(to) as Store)
  }
  // One after the other, because sessions that move meanwhile go from the first to the second.
  return routed(routes, routeOf, [lists, listsOfMoved], isMoving)
}

/** The list of a server, and which of the keys there are looked for there. */
interface List {
  readonly server: Store
  readonly has: (key: Key) => boolean
}

/**
 * Several stores as one. `routeOf`: the one of them that is asked about a key. `rounds`: the servers' lists of keys, round
 * by round. `isInBoth`: whether a key may be in two rounds.
 */
function routed(
  routes: readonly Store[],
  routeOf: (key: Key) => Store,
  rounds: readonly (readonly List[])[],
  isInBoth: (key: Key) => boolean = () => false,
): Store {
  const [first] = routes as readonly [Store]

  /**
   * What each server lists of its own keys. The others are listed by their servers, or were left there by another list of
   * servers, and nobody looks for them there.
   */
  async function* all(listOf: (server: Store) => AsyncIterable<Key> | undefined): AsyncGenerator<Key> {
    const seen = new Set<Key>()
    const failures: unknown[] = []
    const own = async function* ({ server, has }: List): AsyncGenerator<Key> {
      for await (const key of listOf(server) ?? []) {
        if (!has(key) || seen.has(key)) continue
        if (isInBoth(key)) seen.add(key)
        yield key
      }
    }
    for (const round of rounds) yield* merged(round.map(own), (some) => void failures.push(...some))
    if (failures.length > 0) throw together(failures)
  }

  return {
    deadline: Math.max(...routes.map(({ deadline = DEFAULT_DEADLINE }) => deadline)) + LATER,

    load: (key, known, largest) => routeOf(key).load(key, known, largest),

    save: (key, text, expiresAt, expected) => routeOf(key).save(key, text, expiresAt, expected),

    touch: (key, expiresAt) => routeOf(key).touch(key, expiresAt),

    delete: (key, expected) => routeOf(key).delete(key, expected),

    ...(first.watch && { watch: (listener: Listener) => watchAll(routes, routeOf, listener) }),

    keys: () => all((server) => server.keys?.()),

    ...(first.subjects && {
      subjects: {
        add: (subject, key, until) => routeOf(key).subjects?.add(subject, key, until),
        remove: (subject, key) => routeOf(key).subjects?.remove(subject, key),
        keys: (subject) => all((server) => server.subjects?.keys(subject)),
      } satisfies SubjectIndex,
    }),

    async ping() {
      const outcomes = await Promise.allSettled(routes.map(async (route) => route.ping?.()))
      const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []))
      if (failures.length > 0) throw together(failures)
    },

    async close() {
      await Promise.all(routes.map(async (route) => route.close?.()))
    },
  }
}

/** Each key is vouched for by the link of its own route, and by no other. */
function watchAll(routes: readonly Store[], routeOf: (key: Key) => Store, listener: Listener): Watch {
  const watches = new Map<Store, Watch>()
  for (const route of routes) {
    const watch = route.watch?.({
      // What is said of others' keys comes from another database of that server, or from another list of servers.
      saved(key, version) {
        if (routeOf(key) === route) listener.saved(key, version)
      },
      deleted(key) {
        if (routeOf(key) === route) listener.deleted(key)
      },
    })
    if (watch) watches.set(route, watch)
  }
  return {
    linkOf: (key) => (watches.get(routeOf(key)) as Watch).linkOf(key),
    async close() {
      await Promise.all(Array.from(watches.values(), (watch) => watch.close()))
    },
  }
}
