import type { Cluster, Redis } from 'ioredis'
import { warn } from '../../diagnostics.ts'
import type { Link, Listener } from '../../store.ts'
import type { Milliseconds } from '../../units.ts'
import { uncoveredIn } from './announced.ts'
import { isElsewhere } from './answers.ts'
import type { Connection } from './connection.ts'
import { MasterLink, type Hindrance } from './master-link.ts'
import { slotOf, SLOTS } from './slots.ts'
import { Strangers } from './strangers.ts'
import type { Commands } from './wire.ts'

/** How often is looked for what is missing, while something is. */
const LOOK_AGAIN: Milliseconds = 1000
/** How long a master may be out of reach before somebody is told that its address may be wrong. */
const UNREACHED: Milliseconds = 5000

/** The link of a key that nobody vouches for at the moment. */
const NOBODY: Link = { generation: 0, vouches: () => false }

/** What the links to a Cluster need to know. */
export interface ClusterLinksSettings {
  /** The coherence bound. */
  readonly bound: Milliseconds
  readonly prefix: string
  /** Where the writing scripts publish: on this, with a server's id behind it. */
  readonly channel: string
  /** What the servers should allow, for the warning that they do not. */
  readonly rights: string
  /** Knows the masters, and carries what no link can. */
  readonly cluster: Connection<Cluster>
  /** Makes a connection of its own to one of the servers that the Cluster knows. */
  connect(node: Redis): Connection<Redis>
  readonly listener: Listener
}

/**
 * A link to each master of a Cluster, and which of them has which slot.
 *
 * What ioredis knows of the Cluster only decides which links there are. Who has a slot is what the masters say
 * themselves, with each heartbeat; so a master that ioredis does not know yet costs hits and never makes one wrong.
 */
export class ClusterLinks {
  readonly #settings: ClusterLinksSettings
  /** By the address. */
  readonly #links = new Map<string, MasterLink>()
  readonly #madeAt = new WeakMap<MasterLink, Milliseconds>()
  /** By the slot. A slot that is on the move, or that nobody claims, has none. */
  #owners: (MasterLink | undefined)[] = []
  #timer: NodeJS.Timeout | undefined
  readonly #warned = new Set<string>()
  readonly #strangers = new Strangers()

  constructor(settings: ClusterLinksSettings) {
    this.#settings = settings
  }

  start(): void {
    const { cluster } = this.#settings
    cluster.client.on('refresh', this.#meet)
    this.#timer = setInterval(this.#look, LOOK_AGAIN)
    if (cluster.isReady) this.#meet()
    else cluster.connect()
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    this.#settings.cluster.client.off('refresh', this.#meet)
    const links = [...this.#links.values()]
    this.#links.clear()
    this.#owners = []
    await Promise.all(links.map((link) => link.stop()))
  }

  /** `name`: what the record is called there. */
  linkOf(name: string): Link {
    return this.#owners[slotOf(name)] ?? NOBODY
  }

  /**
   * Asks the server that has the record. Over its link while that vouches, because only what comes in order with the
   * messages may be cached; else by way of ioredis, which follows redirections. An answer that came that way is never
   * served from the cache, because the link begins a new generation before it vouches again.
   */
  run<T>(name: string, operation: (client: Commands) => Promise<T>): Promise<T> {
    const { cluster } = this.#settings
    const link = this.#owners[slotOf(name)]
    if (!link?.vouches()) {
      link?.lapse()
      return cluster.run(operation)
    }
    return link.data.run(operation).catch((error: unknown) => {
      if (!isElsewhere(error)) throw error
      link.doubt()
      return cluster.run(operation)
    })
  }

  /** Makes and drops links, so that each master that the Cluster knows of has one. */
  readonly #meet = (): void => {
    const nodes = this.#settings.cluster.client.nodes('master')
    const masters = new Map(nodes.map((node) => [`${node.options.host}:${node.options.port}`, node]))
    for (const [address, link] of this.#links) {
      if (masters.has(address)) continue
      this.#links.delete(address)
      // A connection that does not end well has told its errors.
      link.stop().catch(() => {})
    }
    for (const [address, node] of masters) if (!this.#links.has(address)) this.#links.set(address, this.#linkTo(node))
    this.#divide()
  }

  #linkTo(node: Redis): MasterLink {
    const settings = this.#settings
    const link = new MasterLink({
      ...settings,
      data: settings.connect(node),
      strangers: this.#strangers,
      announced: () => this.#divide(),
      hindered: (hindrance) => this.#warn(hindrance, this.#reasonOf(hindrance)),
    })
    this.#madeAt.set(link, performance.now())
    link.start()
    return link
  }

  /** Gives every slot to the master that claims it under the highest epoch, and to nobody if it is on the move. */
  readonly #divide = (): void => {
    const before = this.#owners
    const owners = Array.from<MasterLink | undefined>({ length: SLOTS })
    const claims = [...this.#links.values()].flatMap((link) => (link.self?.isMaster ? [{ link, self: link.self }] : []))
    claims.sort((a, b) => a.self.configEpoch - b.self.configEpoch)
    for (const { link, self } of claims) for (const [first, last] of self.ranges) owners.fill(link, first, last + 1)
    for (const { self } of claims) for (const slot of self.open) owners[slot] = undefined
    this.#owners = owners
    // What a master has lost to another one was written there, and its messages came from there.
    const losers = new Set(before.filter((link, slot) => link !== undefined && link !== owners[slot]))
    for (const link of losers) link!.expire()
    if (losers.size > 0) this.#settings.cluster.client.refreshSlotsCache()
  }

  /** While a slot has no link that vouches for it, something has changed, is broken, or will soon be found. */
  readonly #look = (): void => {
    const { cluster } = this.#settings
    if (!cluster.isReady) return
    const links = [...this.#links.values()]
    const hasGaps = this.#owners.length < SLOTS || this.#owners.includes(undefined)
    if (!hasGaps && links.every((link) => link.vouches())) return
    cluster.client.refreshSlotsCache()
    for (const [address, link] of this.#links) {
      if (link.hasConnected || performance.now() - this.#madeAt.get(link)! < UNREACHED) continue
      this.#warn(
        'unreachable',
        `the Cluster announces a master at ${address}, which cannot be reached from here, so this process caches none of ` +
          'its sessions. Set cluster-announce-ip at the server, or natMap in the options of an ioredis Cluster',
      )
    }
    const witness = links.find(({ data }) => data.isReady)
    // Whoever is refused this has been told by the link itself.
    if (hasGaps && witness) this.#countSlots(witness).catch(() => {})
  }

  async #countSlots({ data }: MasterLink): Promise<void> {
    const uncovered = uncoveredIn(String(await data.run((client) => client.cluster('NODES'))))
    if (uncovered === 0) return
    this.#warn(
      'uncovered',
      `${uncovered} slots of the Cluster belong to no server, so sessions in them can be neither stored nor cached; by ` +
        'default no server of such a Cluster serves anything. See redis-cli --cluster check',
    )
  }

  #reasonOf(hindrance: Hindrance): string {
    if (hindrance === 'resp2') {
      return (
        'on a Cluster the cache needs RESP3 (Redis 6 and later, and no protocol 2 in the client’s options), so this ' +
        'process caches nothing'
      )
    }
    return (
      'the server does not let this user subscribe or send heartbeats, so this process caches nothing. The user needs ' +
      `the rights ${this.#settings.rights}`
    )
  }

  /** Each reason once. */
  #warn(reason: string, sentence: string): void {
    if (this.#warned.has(reason)) return
    this.#warned.add(reason)
    warn('SESSION_REDIS_NOT_WATCHING', `store redis: ${sentence}`)
  }
}
