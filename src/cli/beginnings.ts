import type { Key } from '../units.ts'
import { counted } from './format.ts'
import type { OpenStore } from './store.ts'
import { isWhole, wrong } from './usage.ts'

/**
 * The ids that were given, each whole or by its first digits. One of which no session's id begins stays as it was given.
 * Throws `ERR_SESSION_OPTION` if several sessions' ids begin with it, or if the store cannot look for it.
 */
export async function wholeIds({ store, name }: OpenStore, given: readonly string[]): Promise<Key[]> {
  const beginnings = given.filter((id) => !isWhole(id))
  if (beginnings.length === 0) return [...given]
  if (!store.keys) throw wrong(`${name} cannot look for the beginning of an id. Give all 64 digits.`)
  const found = new Map<string, Key[]>(beginnings.map((beginning) => [beginning, []]))
  for await (const key of store.keys()) {
    for (const [beginning, keys] of found) if (key.startsWith(beginning)) keys.push(key)
  }
  return given.map((id) => {
    const [key = id, ...others] = found.get(id) ?? []
    if (others.length === 0) return key
    throw wrong(`The ids of ${counted(others.length + 1, 'session')} begin with ${id}. Give more of its digits.`)
  })
}
