import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { placement } from '../../src/stores/placement.ts'
import type { Key } from '../../src/units.ts'

const KEYS: readonly Key[] = Array.from({ length: 12_000 }, (_, n) => createHash('sha256').update(`${n}`).digest('hex'))

function placed(names: readonly string[]): (key: Key) => string {
  return placement(new Map(names.map((name) => [name, name])))
}

/** How many of the keys each server keeps. */
function shares(names: readonly string[]): Record<string, number> {
  const ownerOf = placed(names)
  const counts = Object.fromEntries(names.map((name) => [name, 0]))
  for (const key of KEYS) counts[ownerOf(key)]!++
  return counts
}

describe('The server of a session', () => {
  it('is for ever the one that this table says', () => {
    // Sessions lie there already. A change of any of these ends sessions of everybody who has several servers.
    const byNames = placed(['one', 'two', 'three'])
    const byAddresses = placed(['10.0.0.1:6379/0', '10.0.0.2:6379/0', 'redis-3.internal:6380/2'])
    const table = KEYS.slice(0, 8).map((key) => `${key.slice(0, 16)} ${byNames(key)} ${byAddresses(key)}`)
    assert.deepEqual(table, [
      '5feceb66ffc86f38 three 10.0.0.2:6379/0',
      '6b86b273ff34fce1 three redis-3.internal:6380/2',
      'd4735e3a265e16ee one redis-3.internal:6380/2',
      '4e07408562bedb8b three 10.0.0.1:6379/0',
      '4b227777d4dd1fc6 three redis-3.internal:6380/2',
      'ef2d127de37b942b two 10.0.0.2:6379/0',
      'e7f6c011776e8db7 one 10.0.0.2:6379/0',
      '7902699be42c8a8e three redis-3.internal:6380/2',
    ])
    assert.deepEqual(shares(['one', 'two', 'three']), { one: 3956, two: 3976, three: 4068 })
    assert.deepEqual(shares(['one', 'two', 'three', 'four']), { one: 2976, two: 2919, three: 3035, four: 3070 })
  })

  it('does not depend on the order in which the servers are listed', () => {
    const [one, other] = [placed(['one', 'two', 'three']), placed(['three', 'one', 'two'])]
    for (const key of KEYS) assert.equal(one(key), other(key))
  })

  it('is another one only for the share of a server that has come or gone', () => {
    const [three, four] = [placed(['one', 'two', 'three']), placed(['one', 'two', 'three', 'four'])]
    const moved = KEYS.filter((key) => three(key) !== four(key))
    assert.equal(moved.length, 3070)
    assert.ok(moved.every((key) => four(key) === 'four'))
  })

  it('is the only one if there is one', () => {
    assert.equal(placed(['one'])(KEYS[0]!), 'one')
  })
})
