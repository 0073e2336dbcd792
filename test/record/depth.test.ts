import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
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
      const text = codec.encode(value, 'key')
      assert.equal(codec.encode(new Entry(text).read(codec, 'key'), 'key'), text)
    })
  }
})

describe('data that is deeper', () => {
  for (const [what, wrap, beginning] of WRAPS) {
    it(`is refused, with where it begins: ${what}`, () => {
      const value = nested(LEVELS + 1, wrap)
      assert.throws(() => codec.encode(value, 'key'), {
        code: 'ERR_SESSION_VALUE',
        message: `session.key${beginning} is nested too deeply to be stored.`,
      })
    })
  }

  it('is refused too if a cycle makes it so: a ring that takes more steps than that to come round', () => {
    const ring = { next: undefined as unknown }
    ring.next = nested(LEVELS, (inner) => ({ next: inner === 1 ? ring : inner }))
    assert.throws(() => codec.encode(ring, 'ring'), {
      code: 'ERR_SESSION_VALUE',
      message: 'session.ring.next.next.next.next… is nested too deeply to be stored.',
    })
  })

  it('is what the writer finds deep: what was met before is not gone into again', () => {
    const half = nested(600, (inner) => [inner])
    const secondHalf = nested(600, (inner) => (inner === 1 ? half : [inner]))
    const text = codec.encode([half, secondHalf], 'key')
    assert.equal(codec.encode(new Entry(text).read(codec, 'key'), 'key'), text)
    assert.throws(() => codec.encode([secondHalf, half], 'key'), { code: 'ERR_SESSION_VALUE' })
  })

  for (const [what, text] of [
    ['plain JSON', `${'['.repeat(LEVELS + 1)}${']'.repeat(LEVELS + 1)}`],
    ['a list of its parts', `{"~":[${Array.from({ length: LEVELS }, (_, index) => `[${index + 1}]`).join()},[]]}`],
    ['plain JSON that leaves no room on the stack', `${'['.repeat(1e6)}${']'.repeat(1e6)}`],
  ] as const) {
    it(`is not read either, whoever stored it: ${what}`, () => {
      const beginning = what === 'a list of its parts' ? '[0][0][0][0]…' : ''
      assert.throws(() => new Entry(text).read(codec, 'cart'), {
        code: 'ERR_SESSION_UNREADABLE',
        message: `session.cart${beginning} cannot be read: it is nested too deeply.`,
      })
    })
  }
})
