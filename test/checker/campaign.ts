import { fork, spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Key, Milliseconds } from '../../src/units.ts'
import { clusterEnvironment } from './environments/cluster.ts'
import { sleep, type Environment, type Fault, type StoreKind, type Surroundings } from './environments/environment.ts'
import { fileEnvironment } from './environments/file.ts'
import { redisEnvironment } from './environments/redis.ts'
import { sentinelEnvironment } from './environments/sentinel.ts'
import { shardsEnvironment } from './environments/shards.ts'
import { postgresEnvironment, sqliteEnvironment } from './environments/sql.ts'
import { now, readHistory, record, upTo, type Operation } from './history.ts'
import { OF_ALL } from './life.ts'
import type { MutantName } from './mutants.ts'
import { Random } from './random.ts'
import { verify, type Verdict } from './verify.ts'
import { openStore, type FromWorker, type Replacement, type ToWorker, type WorkerSettings } from './worker.ts'

export interface CampaignOptions {
  readonly store: StoreKind
  /** How long it lasts, at least. */
  readonly seconds: number
  readonly seed: number
  readonly workers?: number
  /** Parallel requests of each worker. */
  readonly lanes?: number
  /** Sessions in use at a time. */
  readonly sessions?: number
  /** The coherence bound of the stores that have one. */
  readonly bound?: Milliseconds
  readonly mutant?: MutantName
  /** Faults a second, on average. */
  readonly pace?: number
  /** Only faults whose name begins with one of these. */
  readonly only?: readonly string[]
  /** After `seconds` it goes on until this holds of what was seen so far, and for two minutes at most. */
  readonly until?: (seen: Verdict) => boolean
  /** Leaves the history behind, and says where. */
  readonly keep?: boolean
}

export interface Report extends Verdict {
  readonly options: CampaignOptions
  readonly faults: readonly FaultMade[]
  readonly seconds: number
  /** Where the history is, if it was kept. */
  readonly directory: string | undefined
}

/** What happened, and for how long. */
export interface FaultMade {
  readonly name: string
  readonly from: Milliseconds
  to: Milliseconds
}

const GRACE: Milliseconds = 200
/** How much the clock of the first worker is ahead: by less than any session may rest. */
const AHEAD: Milliseconds = 10_000
const LOOKS_EVERY: Milliseconds = 500
const PATIENCE: Milliseconds = 120_000
const LONGEST_END: Milliseconds = 60_000
/**
 * How much the workers have to get done for each fault, and how many faults may come before that. By the clock alone, a
 * slow machine would have fault after fault and nothing done in between, so there would be nothing to judge.
 */
const DONE_FOR_A_FAULT = 50
const FAULTS_IN_ADVANCE = 3

/** Lets workers loose on a store, lets things go wrong meanwhile, and judges what they saw. */
export async function campaign(options: CampaignOptions): Promise<Report> {
  const directory = mkdtempSync(join(tmpdir(), 'session-checker-'))
  const history = join(directory, 'history')
  mkdirSync(history)
  const crowd = new Crowd(options, history)
  const clear = (): void => {
    crowd.kill()
    if (!options.keep) rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
  }
  process.once('exit', clear)
  let environment: Environment | undefined
  try {
    environment = await environmentFor(options.store, {
      directory,
      workers: crowd.size,
      random: new Random(options.seed ^ 0x5eed),
      bound: options.bound ?? 400,
      now: () => crowd.now(),
      live: () => crowd.live,
      flushing: () => crowd.flushing(),
    })
    await crowd.start(environment)
    const terms = { bound: environment.bound, doubts: environment.doubts }
    const isOver = (): boolean =>
      options.until?.(verify(upTo(crowd.now() - GRACE, readHistory(history)), terms)) ?? true
    const faults = await chaos(environment, crowd, options, isOver)
    await environment.calm()
    await sleep(GRACE)
    await crowd.stop()
    await lookIntoStore(environment, history, crowd)
    const verdict = verify(readHistory(history), terms)
    return { ...verdict, options, faults, seconds: crowd.now() / 1000, directory: options.keep ? directory : undefined }
  } finally {
    crowd.kill()
    await environment?.stop()
    clear()
    process.off('exit', clear)
  }
}

function environmentFor(kind: StoreKind, surroundings: Surroundings): Promise<Environment> {
  switch (kind) {
    case 'file':
      return fileEnvironment(surroundings)
    case 'redis':
      return redisEnvironment(3, surroundings)
    case 'redis2':
      return redisEnvironment(2, surroundings)
    case 'sentinel':
      return sentinelEnvironment(surroundings)
    case 'cluster':
      return clusterEnvironment(surroundings)
    case 'shards':
    case 'resharding':
      return shardsEnvironment(kind, surroundings)
    case 'postgres':
      return postgresEnvironment(surroundings)
    case 'sqlite':
      return sqliteEnvironment(surroundings)
  }
}

/** Lets faults happen until the time is over; resolves to what happened, when all is healed. */
async function chaos(
  environment: Environment,
  crowd: Crowd,
  options: CampaignOptions,
  isOver: () => boolean,
): Promise<FaultMade[]> {
  const random = new Random(options.seed)
  const made: FaultMade[] = []
  const scenes = new Map<string, Promise<void>>()
  const wanted = (name: string): boolean =>
    !options.only || options.only.some((beginning) => name.startsWith(beginning))
  const faults = [...environment.faults, ...crowd.faults(environment)].filter(
    ({ name, weight }) => weight > 0 && wanted(name),
  )
  const least = crowd.now() + options.seconds * 1000
  const end = least + PATIENCE
  const failures: unknown[] = []
  let look = least
  while (crowd.now() < end && failures.length === 0) {
    const pause = random.between(0.2, 1.8) * (1000 / (options.pace ?? 2))
    await sleep(Math.max(0, Math.min(pause, look - crowd.now())))
    if (crowd.now() >= look) {
      if (isOver()) break
      look = crowd.now() + LOOKS_EVERY
    }
    if (made.length >= FAULTS_IN_ADVANCE + crowd.done / DONE_FOR_A_FAULT) continue
    const fault = faults.length > 0 ? random.weighted(faults) : undefined
    if (!fault || scenes.has(fault.scene)) continue
    const entry = { name: fault.name, from: crowd.now(), to: Infinity }
    made.push(entry)
    const over = fault.run(random).catch((error: unknown) => void failures.push(error))
    const finished = over.finally(() => {
      entry.to = crowd.now()
      scenes.delete(fault.scene)
    })
    scenes.set(fault.scene, finished)
  }
  await Promise.all(scenes.values())
  if (failures.length > 0) throw new Error('a fault could not be made', { cause: failures[0] })
  return made
}

/** What is there when all is over, asked of the store itself. */
async function lookIntoStore(environment: Environment, history: string, crowd: Crowd): Promise<void> {
  const { operations } = readHistory(history)
  const sessions = new Set(
    operations.flatMap(({ kind, session, heir }) => (OF_ALL.has(kind) ? [] : [session, ...(heir ? [heir] : [])])),
  )
  const store = openStore(environment.direct)
  try {
    let number = 0
    for (const session of sessions) {
      const begun = crowd.now()
      const found = await store.load(session)
      const data = found && (JSON.parse(found.text) as { data: Record<string, unknown> }).data
      const content =
        data && Object.fromEntries(Object.entries(data).map(([name, value]) => [name, JSON.stringify(value)]))
      const seen = found && content ? { outcome: 'done', version: found.version, content } : { outcome: 'absent' }
      record(history, {
        process: 'store',
        number: ++number,
        kind: 'final',
        session,
        begun,
        ended: crowd.now(),
        ...seen,
      } as Operation)
    }
  } finally {
    await store.close?.()
  }
}

/** The worker processes, each in its place: who dies is replaced. */
class Crowd {
  readonly size: number
  readonly #options: CampaignOptions
  readonly #history: string
  readonly #origin = process.hrtime.bigint()
  readonly #places: { child: ChildProcess; incarnation: number }[] = []
  #slots: (Key | undefined)[]
  #retired: Key[] = []
  #isStopping = false
  #flushes = 0
  #done = 0

  constructor(options: CampaignOptions, history: string) {
    this.size = options.workers ?? 4
    this.#options = options
    this.#history = history
    this.#slots = Array.from({ length: options.sessions ?? 3 })
  }

  now(): Milliseconds {
    return now(this.#origin)
  }

  /** How many operations the workers have reported as acknowledged. */
  get done(): number {
    return this.#done
  }

  get live(): readonly Key[] {
    return this.#slots.filter((session) => session !== undefined)
  }

  async start(environment: Environment): Promise<void> {
    await Promise.all(Array.from({ length: this.size }, (_, place) => this.#spawn(environment, place, 0)))
  }

  faults(environment: Environment): Fault[] {
    const longest = Math.max(environment.bound * 3, 600)
    return Array.from({ length: this.size }, (_, place) => place).flatMap((place) => [
      {
        name: 'worker stopped',
        weight: 2 / this.size,
        scene: `worker ${place}`,
        run: (random) => this.#freeze(place, random.between(20, longest)),
      },
      {
        name: 'worker killed',
        weight: 1 / this.size,
        scene: `worker ${place}`,
        run: async () => {
          const { child, incarnation } = this.#places[place]!
          await ended(child, () => child.kill('SIGKILL'))
          await this.#spawn(environment, place, incarnation + 1)
        },
      },
    ])
  }

  flushing(): () => void {
    const number = ++this.#flushes
    const begun = this.now()
    return () => {
      const flush = {
        process: 'chaos',
        number,
        kind: 'flush',
        session: '',
        begun,
        ended: this.now(),
        outcome: 'done',
      } as const
      record(this.#history, flush)
    }
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    await Promise.all(
      this.#places.map(({ child }) =>
        ended(child, () => {
          child.send({ stop: true } satisfies ToWorker)
          setTimeout(() => child.kill('SIGKILL'), LONGEST_END).unref()
        }),
      ),
    )
    const codes = this.#places.map(({ child }) => child.exitCode ?? child.signalCode)
    if (codes.some((code) => code !== 0)) throw new Error(`a worker did not end by itself: ${codes.join(', ')}`)
  }

  readonly kill = (): void => {
    this.#isStopping = true
    for (const { child } of this.#places) child.kill('SIGKILL')
  }

  async #spawn(environment: Environment, place: number, incarnation: number): Promise<void> {
    if (this.#isStopping) return
    const settings: WorkerSettings = {
      name: `${place}.${incarnation}`,
      seed: (this.#options.seed * 31 + place * 1000 + incarnation * 100) >>> 0,
      origin: String(this.#origin),
      directory: this.#history,
      lanes: this.#options.lanes ?? 4,
      place: await environment.placeFor(place),
      mutant: this.#options.mutant,
      ahead: place === 0 ? AHEAD : 0,
    }
    const child = fork(join(import.meta.dirname, 'worker.js'), [JSON.stringify(settings)], {
      serialization: 'advanced',
    })
    this.#places[place] = { child, incarnation }
    child.on('message', (message: FromWorker) => {
      if ('done' in message) this.#done += message.done
      else this.#replace(message)
    })
    child.on('error', () => {}) // a message that no longer reached it
    this.#tell(child)
  }

  /** By a process of its own, so that nobody stays stopped if this one is killed meanwhile. */
  async #freeze(place: number, length: Milliseconds): Promise<void> {
    const { pid } = this.#places[place]!.child
    const script = `kill -STOP ${pid}; sleep ${(length / 1000).toFixed(3)}; kill -CONT ${pid}`
    const shell = spawn('sh', ['-c', script], { stdio: 'ignore' })
    await new Promise((resolve) => shell.once('exit', resolve))
  }

  #replace({ slot, replaced, session }: Replacement): void {
    // Of two that replace the same session, the later one joins the retired ones, where it is used as well.
    const out = this.#slots[slot] === replaced ? replaced : session
    if (this.#slots[slot] === replaced) this.#slots[slot] = session
    if (out) this.#retired = [...this.#retired.slice(-11), out]
    for (const { child } of this.#places) if (child) this.#tell(child)
  }

  #tell(child: ChildProcess): void {
    if (child.connected) child.send({ slots: this.#slots, retired: this.#retired } satisfies ToWorker, () => {})
  }
}

async function ended(child: ChildProcess, end: () => void): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  end()
  await exit
}
