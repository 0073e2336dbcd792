import { join } from 'node:path'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import type { Found, Store } from '../../src/store.ts'
import { storeFromUrl } from '../../src/stores/url.ts'
import type { Key, Milliseconds } from '../../src/units.ts'
import { now } from './history.ts'
import { mutate, type MutantName } from './mutants.ts'
import { judgeRaces, type Call, type Sight } from './races-judge.ts'
import { Random } from './random.ts'

export interface RaceOptions {
  /** The store's URL, which names a table that nobody else uses. */
  readonly url: string
  /** How many connections race, each in a thread of its own. */
  readonly connections: number
  /** How many calls there are in all. */
  readonly calls: number
  readonly seed: number
  readonly mutant?: RaceMutant | undefined
}

export interface RaceReport {
  readonly calls: number
  readonly seconds: number
  /** How many creates and updates were refused. */
  readonly lost: number
  readonly wrong: readonly string[]
}

/** Ways to break a store, which the judge must notice. The library above it would make good for the last two. */
export type RaceMutant =
  | Extract<MutantName, 'believeKnown' | 'blindOverwrite' | 'recreating'>
  | 'olderConflict'
  | 'coarseVersions'

export const RACE_MUTANTS: readonly RaceMutant[] = [
  'believeKnown',
  'blindOverwrite',
  'recreating',
  'olderConflict',
  'coarseVersions',
]

interface ThreadSettings extends RaceOptions {
  readonly keys: readonly Key[]
  readonly origin: string
  readonly number: number
}

const KEYS = 3
const HOUR: Milliseconds = 60 * 60_000

/** Many connections at a few keys: every answer is compared with what was possible while it was asked for. */
export async function race(options: RaceOptions): Promise<RaceReport> {
  const random = new Random(options.seed)
  const keys = Array.from({ length: KEYS }, () =>
    Array.from({ length: 64 }, () => Math.floor(random.next() * 16).toString(16)).join(''),
  )
  // Before the others, so that the tables are there.
  const store = storeFromUrl(options.url)
  await store.save('0'.repeat(64), '{}', Date.now() + HOUR, undefined)
  await store.close?.()
  const origin = process.hrtime.bigint()
  const calls = await Promise.all(
    Array.from({ length: options.connections }, (_, number) => {
      const settings: ThreadSettings = { ...options, keys, origin: String(origin), number }
      return answerOf(new Worker(join(import.meta.dirname, 'races.js'), { workerData: settings }))
    }),
  )
  const all = calls.flat()
  return {
    calls: all.length,
    seconds: now(origin) / 1000,
    lost: all.filter(({ saw, refused }) => saw && refused !== undefined).length,
    wrong: judgeRaces(all),
  }
}

function answerOf(worker: Worker): Promise<Call[]> {
  return new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
}

/** One connection, which asks one thing after the other. */
async function run({ url, connections, calls, seed, mutant, keys, origin, number }: ThreadSettings): Promise<void> {
  const own = storeFromUrl(url)
  const store = broken(own, mutant)
  const random = new Random(seed + number)
  const seen = new Map<Key, Found>()
  const made: Call[] = []
  const least = Math.ceil(calls / connections)
  for (let count = 0; count < least; count++) {
    const key = random.oneOf(keys) as Key
    const begun = now(BigInt(origin))
    const outcome = await ask(store, key, seen.get(key), `{"by":"${number}.${count}"}`, random)
    made.push({ key, begun, ended: now(BigInt(origin)), ...outcome.said })
    if (outcome.found) seen.set(key, outcome.found)
    // SQLite answers at once.
    if (count % 16 === 0) await new Promise(setImmediate)
  }
  await own.close?.()
  parentPort!.postMessage(made)
}

interface Outcome {
  readonly said: Omit<Call, 'key' | 'begun' | 'ended'>
  readonly found?: Found | undefined
}

async function ask(store: Store, key: Key, known: Found | undefined, text: string, random: Random): Promise<Outcome> {
  const expiresAt = Math.floor(Date.now() + random.between(HOUR, 2 * HOUR))
  const action = random.next()
  if (action < 0.3) return shown(await store.load(key, random.chance(0.6) ? known : undefined))
  if (action < 0.38) {
    const isThere = await store.touch(key, expiresAt)
    return { said: isThere ? { extended: expiresAt } : { foundNothing: true } }
  }
  if (action < 0.42) return { said: (await store.delete(key)) ? { removed: {} } : { foundNothing: true } }
  if (action < 0.5 && known) {
    const removed = await store.delete(key, known)
    if (removed === true) return { said: { removed: { version: known.version } } }
    return shown(removed || undefined, known)
  }
  const expected = action < 0.85 ? known : undefined
  const { saved, conflict } = await store.save(key, text, expiresAt, expected)
  if (!saved) return shown(conflict, expected)
  const wrote = { ...sightOf(saved), ...(expected && { over: expected.version }) }
  return { said: { wrote }, found: saved }
}

/** `refused`: what was expected, and was not there. */
function shown(found: Found | undefined, refused?: Found): Outcome {
  const said = found ? { saw: sightOf(found) } : { foundNothing: true }
  return { said: { ...said, ...(refused && { refused: refused.version }) }, found }
}

function sightOf({ version, text, expiresAt }: Found): Sight {
  return { version, text, expiresAt }
}

function broken(store: Store, mutant: RaceMutant | undefined): Store {
  switch (mutant) {
    case 'olderConflict':
      return {
        ...store,
        async save(key, text, expiresAt, expected) {
          const before = await store.load(key)
          const saved = await store.save(key, text, expiresAt, expected)
          return saved.conflict ? { conflict: before ?? saved.conflict } : saved
        },
      }
    case 'coarseVersions':
      return withCoarseVersions(store)
    default:
      return mutate(store, mutant)
  }
}

/** Two versions of the same few milliseconds are one. */
function withCoarseVersions(store: Store): Store {
  const versions = new WeakMap<Found, number>()
  const coarse = (found: Found): Found => {
    const shown = { ...found, version: Math.floor(found.version / 10_000) }
    versions.set(shown, found.version)
    return shown
  }
  return {
    ...store,
    async load(key) {
      const found = await store.load(key)
      return found && coarse(found)
    },
    async save(key, text, expiresAt, expected) {
      const exact = expected && { ...expected, version: versions.get(expected) as number }
      const answer = await store.save(key, text, expiresAt, exact)
      if (answer.saved) return { saved: coarse(answer.saved) }
      return answer.conflict ? { conflict: coarse(answer.conflict) } : answer
    },
    async delete(key, expected) {
      const deleted = await store.delete(key, expected && { ...expected, version: versions.get(expected) as number })
      return typeof deleted === 'object' ? coarse(deleted) : deleted
    },
  }
}

if (!isMainThread && parentPort) await run(workerData as ThreadSettings)
