import type { Store } from '../../../src/store.ts'
import { memoryStore } from '../../../src/stores/memory.ts'
import { placement } from '../../../src/stores/placement.ts'
import { resharded, sharded } from '../../../src/stores/shards/sharded.ts'
import type { Key } from '../../../src/units.ts'
import { newKey } from './records.ts'

const BEFORE = ['one', 'two', 'three']
/** One has gone, and one has come. */
const AFTER = ['two', 'three', 'four']
export const SERVERS: readonly string[] = [...new Set([...BEFORE, ...AFTER])]

/** The name of the server that a key is on by the list of before, and by the new one. */
export const ownerBefore: (key: Key) => string = placement(new Map(BEFORE.map((name) => [name, name])))
export const ownerAfter: (key: Key) => string = placement(new Map(AFTER.map((name) => [name, name])))

/** A key that is on these servers by the two lists. */
export function keyFrom(from: string, to: string): Key {
  for (;;) {
    const key = newKey()
    if (ownerBefore(key) === from && ownerAfter(key) === to) return key
  }
}

/** The servers of both lists, by their names. */
export type Servers<One extends Store = Store> = Readonly<Record<string, One>>

export function servers<One extends Store>(make: () => One): Servers<One> {
  return Object.fromEntries(SERVERS.map((name) => [name, make()]))
}

export const memory = (): Store => memoryStore({ pruneInterval: 0 })

function listed(at: Servers, names: readonly string[]): Map<string, Store> {
  return new Map(names.map((name) => [name, at[name]!]))
}

/** Nodes that know these servers: by the old list, in the first deploy, in the second, and by the new list. */
export function nodes(at: Servers): Record<'old' | 'first' | 'second' | 'new', Store> {
  return {
    old: sharded(listed(at, BEFORE)),
    first: resharded(listed(at, BEFORE), listed(at, AFTER), 'from'),
    second: resharded(listed(at, BEFORE), listed(at, AFTER), 'to'),
    new: sharded(listed(at, AFTER)),
  }
}

/** Whether a server has a session there, and not only what a move has left. */
export async function isOn(at: Servers, name: string, key: Key): Promise<boolean> {
  const found = await at[name]!.load(key)
  return found !== undefined && !found.text.startsWith('{"replaced"')
}
