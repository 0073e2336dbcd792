import { Diagnostics } from '../../src/diagnostics.ts'
import { storeStack, type StoreStack } from '../../src/layers/stack.ts'
import type { Found, Store } from '../../src/store.ts'
import { redisStore } from '../../src/stores/redis.ts'
import { isPromise, type Instant, type Key, type Milliseconds, type Version } from '../../src/units.ts'
import { mutate, type MutantName } from '../checker/mutants.ts'
import { Random } from '../checker/random.ts'
import { SimulatedClock } from '../support/simulated-clock.ts'
import { Tally, type Figures } from './figures.ts'
import { SimulatedRedis, type SimulatedConnection } from './redis.ts'

const SECOND: Milliseconds = 1000
const MINUTE: Milliseconds = 60 * SECOND
const HOUR: Milliseconds = 60 * MINUTE

/** A site to simulate, and for how long. */
export interface Setting {
  readonly seed: number
  readonly nodes: number
  /** Which share of the requests writes to its session. */
  readonly writes: number
  /** Whether all requests of a session go to the same node; else each goes to any. */
  readonly hasAffinity: boolean
  /** How many sessions are stored for each node, and how many requests a second come for each. */
  readonly sessionsPerNode: number
  readonly requestsPerNode: number
  /** How much time passes between two requests of a visitor, on average. */
  readonly pause: Milliseconds
  /** One session in so many is simulated, with all of its requests. The room in the caches shrinks with them. */
  readonly oneIn: number
  /** The coherence bound. */
  readonly bound: Milliseconds
  /** After this long, a cache reads a session again, whatever it heard. */
  readonly maxAge: Milliseconds
  /** What is not counted: the caches are empty at first. */
  readonly warmUp: Milliseconds
  readonly counted: Milliseconds
  /** Whether the caches are kept from switching themselves off. */
  readonly isKeptOn: boolean
  /** How often a connection of a node hangs, on average; some are lost. 0: never. */
  readonly hangsEvery: Milliseconds
  /** How often somebody sets the clock, on average. 0: never. */
  readonly clockIsSetEvery: Milliseconds
  /** Which share of what the caches answer is audited. */
  readonly audit: number
  readonly protocol?: 2 | 3
  readonly mutant?: MutantName
}

/** A visitor sends so many requests on average. */
const REQUESTS_OF_VISIT = 30
/** How long a request takes from its read to its write. */
const HANDLING: Milliseconds = 20
/** One way over the network: most packets take about this long, and some take much longer. */
const ONE_WAY: Milliseconds = 0.25
const LATE = 0.01
const LATEST: Milliseconds = 20
const LONGEST_HANG: Milliseconds = 4 * SECOND
/** What a cache holds by default. */
const MAX = 10_000
const MAX_BYTES = 32 * 1024 * 1024
/** About half a kilobyte. */
const TEXT = JSON.stringify({ format: 1, data: { userId: 'ada', cart: 'x'.repeat(400) } })

/** One process of the site: the library's own cache, link and store, over connections in simulated time. */
interface Node {
  readonly stack: StoreStack
  readonly store: Store
  readonly diagnostics: Diagnostics
  readonly connections: readonly SimulatedConnection[]
}

/** Lets visitors loose on the site for the time that the setting says, and counts. Nothing else may use the clocks meanwhile. */
export async function simulate(setting: Setting): Promise<Figures> {
  const clock = new SimulatedClock()
  clock.install()
  // The library draws by chance which answers are audited.
  const { random } = Math
  const chance = new Random(setting.seed ^ 0xa0d17)
  Math.random = () => chance.next()
  try {
    return await new Site(setting, clock).run()
  } finally {
    Math.random = random
    clock.restore()
  }
}

class Site {
  readonly #setting: Setting
  readonly #clock: SimulatedClock
  readonly #random: Random
  readonly #redis: SimulatedRedis
  readonly #nodes: Node[]
  readonly #tally: Tally
  readonly #sessions: number
  #isOver = false
  /** What was acknowledged of each session, the oldest first. */
  readonly #acknowledged = new Map<Key, { readonly version: Version; readonly at: Milliseconds }[]>()

  constructor(setting: Setting, clock: SimulatedClock) {
    this.#setting = setting
    this.#clock = clock
    this.#random = new Random(setting.seed)
    this.#redis = new SimulatedRedis(clock)
    this.#nodes = Array.from({ length: setting.nodes }, () => this.#newNode())
    this.#sessions = Math.round((setting.nodes * setting.sessionsPerNode) / setting.oneIn)
    this.#tally = new Tally(setting.oneIn)
  }

  async run(): Promise<Figures> {
    const { nodes, requestsPerNode, oneIn, pause, warmUp, counted, hangsEvery, clockIsSetEvery, isKeptOn } =
      this.#setting
    const perSecond = (nodes * requestsPerNode) / oneIn
    // As many visits as are always under way, and then as many as begin.
    const underWay = Math.round((perSecond * pause) / SECOND)
    for (let n = 0; n < underWay; n++) this.#visit()
    this.#every(
      () => this.#exponential((REQUESTS_OF_VISIT * SECOND) / perSecond),
      () => this.#visit(),
    )
    this.#every(
      () => SECOND,
      () => this.#look(isKeptOn),
    )
    if (hangsEvery > 0) for (const node of this.#nodes) this.#trouble(node)
    if (clockIsSetEvery > 0)
      this.#every(
        () => this.#exponential(clockIsSetEvery),
        () => this.#clock.set(this.#random.between(-5 * MINUTE, 5 * MINUTE)),
      )
    await this.#clock.pass(warmUp)
    const before = this.#redis.delivered
    this.#tally.isCounting = true
    await this.#clock.pass(counted)
    this.#tally.isCounting = false
    this.#isOver = true
    const delivered = this.#redis.delivered - before
    // What is under way comes to its end.
    await this.#clock.pass(10 * SECOND)
    const all = this.#nodes.map(({ diagnostics }) => diagnostics.stats)
    await Promise.all([
      ...this.#nodes.map(({ stack, store }) => stack.close().then(() => store.close?.())),
      this.#clock.pass(MINUTE),
    ])
    return this.#tally.figures(all, counted, delivered)
  }

  #newNode(): Node {
    const { bound, maxAge, oneIn, audit, protocol, mutant } = this.#setting
    const { client, connections } = this.#redis.client(() => this.#oneWay(), protocol)
    const store = redisStore(client, { coherence: { bound } })
    const diagnostics = new Diagnostics('sid')
    const cache = {
      max: Math.max(1, Math.round(MAX / oneIn)),
      maxBytes: Math.max(100_000, Math.round(MAX_BYTES / oneIn)),
      maxAge,
      allowStale: false,
      audit,
    }
    return {
      stack: storeStack(mutate(store, mutant), { encrypt: false, cache }, diagnostics),
      store,
      diagnostics,
      connections,
    }
  }

  /** A visitor comes, with a session from before, and sends requests until they leave. */
  #visit(): void {
    const number = Math.floor(this.#random.next() * this.#sessions)
    const key = number.toString(16).padStart(64, '0')
    const name = `session:${key}`
    if (this.#redis.get(name) === null) this.#redis.put(name, `${Date.now() + 10 * HOUR}|1|${TEXT}`)
    const { pause, hasAffinity } = this.#setting
    const own = this.#nodes[hashed(number) % this.#nodes.length]!
    const next = (): void => {
      const node = hasAffinity ? own : this.#random.oneOf(this.#nodes)!
      this.#request(node, key)
      if (!this.#random.chance(1 / REQUESTS_OF_VISIT)) this.#after(this.#exponential(pause), next)
    }
    this.#after(this.#exponential(pause), next)
  }

  #request(node: Node, key: Key): void {
    const writes = this.#random.chance(this.#setting.writes)
    const begun = this.#clock.now
    const answer = node.stack.front.load(key)
    if (!isPromise(answer)) return this.#read(node, key, answer, { begun, isHit: true, writes })
    this.#clock.stir()
    answer.then(
      (found) => this.#read(node, key, found, { begun, isHit: false, writes }),
      () => this.#tally.failed(),
    )
  }

  #read(
    node: Node,
    key: Key,
    found: Found | undefined,
    { begun, isHit, writes }: { begun: Milliseconds; isHit: boolean; writes: boolean },
  ): void {
    if (!found) throw new Error('a session is gone that nobody has ended')
    this.#tally.read(isHit, this.#ageOf(key, found.version, begun))
    if (writes) this.#after(this.#exponential(HANDLING), () => this.#write(node, key, found))
  }

  #write(node: Node, key: Key, known: Found): void {
    this.#clock.stir()
    Promise.resolve(node.stack.front.save(key, TEXT, this.#end(), known)).then(
      ({ saved, conflict }) => {
        // Somebody else was faster: on top of what they wrote, as the library does it.
        if (conflict) return this.#write(node, key, conflict)
        if (saved) this.#acknowledge(key, saved.version)
      },
      () => this.#tally.failed(),
    )
  }

  #end(): Instant {
    return Date.now() + 10 * HOUR
  }

  #acknowledge(key: Key, version: Version): void {
    const known = this.#acknowledged.get(key)
    if (!known) return void this.#acknowledged.set(key, [{ version, at: this.#clock.now }])
    known.push({ version, at: this.#clock.now })
    if (known.length > 100) known.shift()
  }

  /** For how long this version was no longer the newest when the read began. */
  #ageOf(key: Key, version: Version, begun: Milliseconds): Milliseconds {
    const newer = this.#acknowledged.get(key)?.find((one) => one.version > version && one.at < begun)
    return newer ? begun - newer.at : 0
  }

  #look(isKeptOn: boolean): void {
    for (const { diagnostics } of this.#nodes) {
      this.#tally.look(diagnostics.stats)
      // The cache rests if its hits are too few; this is more than enough.
      if (isKeptOn) diagnostics.stats.hits += 1e6
    }
  }

  #trouble({ connections }: Node): void {
    this.#every(
      () => this.#exponential(this.#setting.hangsEvery),
      () => {
        const connection = this.#random.oneOf(connections)
        if (this.#random.chance(0.2)) connection?.disconnect(true)
        else connection?.hold(this.#random.between(50, LONGEST_HANG))
      },
    )
  }

  #oneWay(): Milliseconds {
    const usual = ONE_WAY * (0.6 + this.#random.next() * 0.8)
    return this.#random.chance(LATE) ? usual + this.#random.next() * LATEST : usual
  }

  #exponential(mean: Milliseconds): Milliseconds {
    return -mean * Math.log(1 - this.#random.next())
  }

  #after(length: Milliseconds, run: () => void): void {
    this.#clock.at(this.#clock.now + length, () => {
      if (!this.#isOver) run()
    })
  }

  #every(length: () => Milliseconds, run: () => void): void {
    const again = (): void => {
      this.#after(length(), again)
      run()
    }
    this.#after(length(), again)
  }
}

/** So that neighbours are spread over the nodes. */
function hashed(number: number): number {
  return Math.imul(number + 1, 2_654_435_761) >>> 0
}
