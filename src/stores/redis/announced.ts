import { nameIn, slotOf, SLOTS } from './slots.ts'

/** What a server of a Cluster says of itself. */
export interface Announced {
  readonly id: string
  readonly isMaster: boolean
  /** Grows whenever slots are taken over. Of two servers that claim a slot, the one with the higher epoch has it. */
  readonly configEpoch: number
  /** The slots that it owns, from the first to the last, in ascending order. */
  readonly ranges: readonly (readonly [first: number, last: number])[]
  /** Slots that are on the move, from it or to it. */
  readonly open: ReadonlySet<number>
  /** Differs whenever anything of the above does. */
  readonly fingerprint: string
}

/** Reads a server's own line of CLUSTER NODES, alone or among the others. */
export function announcedIn(nodes: string): Announced {
  const line = nodes.split('\n').find((text) => text.split(' ', 3)[2]?.includes('myself'))
  // <id> <address> <flags> <master> <ping sent> <pong received> <config epoch> <link state> <slot> …
  const [id = '', , flags = '', master = '', , , configEpoch = '', , ...slots] = line?.trim().split(' ') ?? []
  const open = new Set<number>()
  const ranges: [first: number, last: number][] = []
  for (const slot of slots) {
    // [slot->-id] leaves this server, [slot-<-id] comes to it.
    const [, moving] = /^\[(\d+)-[<>]-/.exec(slot) ?? []
    if (moving !== undefined) open.add(Number(moving))
    else ranges.push(rangeOf(slot))
  }
  return {
    id,
    isMaster: flags.includes('master'),
    configEpoch: Number(configEpoch),
    ranges,
    open,
    fingerprint: [id, flags, master, configEpoch, ...slots].join(' '),
  }
}

/** How many slots no server owns, by the whole of CLUSTER NODES. */
export function uncoveredIn(nodes: string): number {
  let covered = 0
  for (const line of nodes.split('\n')) {
    for (const slot of line.trim().split(' ').slice(8)) {
      const [first, last] = slot.startsWith('[') ? [0, -1] : rangeOf(slot)
      covered += last - first + 1
    }
  }
  return SLOTS - covered
}

/**
 * The key whose loss says that this server has lost its data: in a slot that the server owns, so that it stays with the
 * server's slots. Every process comes to the same one. Undefined if there is no such slot: the server owns none that
 * stays, or the prefix itself puts all keys into a slot of another server.
 */
export function epochKeyOf(prefix: string, { ranges, open }: Announced): string | undefined {
  const stays = (slot: number): boolean =>
    !open.has(slot) && ranges.some(([first, last]) => slot >= first && slot <= last)
  for (const [first, last] of ranges) {
    for (let slot = first; slot <= last; slot++) {
      if (!stays(slot)) continue
      const key = `${prefix}epoch:{${nameIn(slot)}}`
      return stays(slotOf(key)) ? key : undefined
    }
  }
  return undefined
}

function rangeOf(text: string): [first: number, last: number] {
  const [first, last = first] = text.split('-').map(Number)
  return [first!, last!]
}
