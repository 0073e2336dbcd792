import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { tooDeepAt } from '../../src/record/depth.ts'
import { Codec } from '../../src/record/codec.ts'
import { Entry } from '../../src/record/entry.ts'

const codec = new Codec()
const LEVELS = 1000

type Wrap = (inner: unknown) => unknown

const WRAPS: [what: string, wrap: Wrap, beginning: string][] = [
  ['arrays', (inner) => [1, inner], '[1][1][1][1]…'],
  ['objects', (inner) => ({ a: inner }), '.a.a.a.a…'],
  [
    'Maps, by their values',
    (inner) => new Map([['the-value-nobody-may-read', inner]]),
    ' (inside a Map)'.repeat(4) + '…',
  ],
  ['Maps, by their keys', (inner) => new Map([[inner, 1]]), ' (inside a Map)'.repeat(4) + '…'],
  ['Sets', (inner) => new Set([inner]), ' (inside a Set)'.repeat(4) + '…'],
  [
    'objects that know their parent',
    (inner) => {
      const object = { a: inner, parent: undefined as unknown }
      if (typeof inner === 'object' && inner !== null) (inner as { parent?: unknown }).parent = object
      return object
    },
    '.a.a.a.a…',
  ],
]

function nested(levels: number, wrap: Wrap): unknown {
  let value: unknown = 1
  for (let level = 0; level < levels; level++) value = wrap(value)
  return value
}

describe('data as deep as a thousand levels', () => {
  for (const [what, wrap] of WRAPS) {
    it(`can be stored, and comes back: ${what}`, () => {
      const value = nested(LEVELS, wrap)
      assert.equal(tooDeepAt(value), undefined)
      const text = codec.encode(value, 'key')
      assert.equal(codec.encode(new Entry(text).read(codec), 'key'), text)
    })
  }
})

describe('data that is deeper', () => {
  for (const [what, wrap, beginning] of WRAPS) {
    it(`is refused, with where it begins: ${what}`, () => {
      const value = nested(LEVELS + 1, wrap)
      assert.equal(tooDeepAt(value), beginning)
      assert.throws(() => codec.encode(value, 'key'), {
        code: 'ERR_SESSION_VALUE',
        message: `session.key${beginning} is nested too deeply to be stored.`,
      })
    })
  }

  it('is refused too if a cycle makes it so: a ring that takes more steps than that to come round', () => {
    const ring = { next: undefined as unknown }
    ring.next = nested(LEVELS, (inner) => ({ next: inner === 1 ? ring : inner }))
    assert.equal(tooDeepAt(ring), '.next.next.next.next…')
  })

  it('is what the writer finds deep: what was met before is not gone into again', () => {
    const half = nested(600, (inner) => [inner])
    assert.equal(tooDeepAt([half, nested(600, (inner) => (inner === 1 ? half : [inner]))]), undefined)
    assert.notEqual(tooDeepAt([nested(600, (inner) => (inner === 1 ? half : [inner])), half]), undefined)
  })
})

describe('what is no data', () => {
  it('is not gone into: whoever writes it refuses it', () => {
    class Endless {
      get inner(): Endless {
        return new Endless()
      }
    }
    assert.equal(tooDeepAt({ a: new Endless(), b: Buffer.alloc(10), c: () => 1 }), undefined)
  })
})
