import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { stringify, unflatten as unflattenOfDevalue } from 'devalue'
import fc from 'fast-check'
import { Codec } from '../../src/record/codec.ts'
import { flatten } from '../../src/record/flatten.ts'
import { unflatten } from '../../src/record/unflatten.ts'

const REDUCERS = { Buffer: (value: unknown) => Buffer.isBuffer(value) && [value.toString('base64')] }
const REVIVERS = { Buffer: ([base64]: [string]) => Buffer.from(base64, 'base64') }

const rich = fc.letrec((tie) => ({
  leaf: fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.double(),
    fc.bigInt(),
    fc.boolean(),
    fc.constantFrom(null, undefined, -0, NaN, Infinity, '<', '\u2028', /a"\/[<]/giu, new URL('https://a.example/?b=<')),
    fc.date(),
    fc.uint8Array().map((bytes) => bytes.slice()),
    fc.float64Array().map((numbers) => numbers.slice()),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    fc.uint8Array().map((bytes) => new DataView(bytes.slice().buffer)),
    fc.oneof(fc.string(), fc.double(), fc.boolean(), fc.bigInt()).map(Object),
  ),
  node: fc.oneof(
    { maxDepth: 4 },
    tie('leaf'),
    fc.array(tie('node'), { maxLength: 4 }),
    fc.sparseArray(tie('node'), { maxLength: 6, maxNumElements: 3 }),
    fc.dictionary(fc.stringMatching(/^[ a-zé]*$/), tie('node'), { maxKeys: 4 }),
    fc.array(fc.tuple(tie('node'), tie('node')), { maxLength: 3 }).map((pairs) => new Map(pairs)),
    fc.array(tie('node'), { maxLength: 3 }).map((items) => new Set(items)),
  ),
})).node

describe('a flattened value', () => {
  it('has the text that devalue gives it, so that records of version 0.1.0 stay as they are until they are changed', () => {
    fc.assert(
      fc.property(rich, (value) => {
        const { text, areNamesEscaped } = flatten(value)
        assert.equal(text, stringify(value, REDUCERS))
        assert.equal(areNamesEscaped, false)
        assert.deepStrictEqual(unflatten(JSON.parse(text), false), unflattenOfDevalue(JSON.parse(text), REVIVERS))
      }),
      { numRuns: 2000 },
    )
  })

  it('keeps what refers to one object referring to one object, cycles included', () => {
    const shared = { bytes: new Uint8Array(4) }
    const list: unknown[] = [shared, new Map([[shared, shared]]), shared.bytes.buffer]
    list.push(list)
    const back = unflatten(JSON.parse(flatten(list).text), false) as typeof list
    const [first] = back as [typeof shared]
    assert.equal(back[3], back)
    assert.equal(first.bytes.buffer, back[2])
    assert.deepEqual([...(back[1] as Map<unknown, unknown>)], [[first, first]])
    assert.equal([...(back[1] as Map<unknown, unknown>)][0]?.[0], first)
  })

  it('is read as version 0.1.0 wrote it: with a ~ before names that it could not write', () => {
    const codec = new Codec()
    const text =
      '{"~":[{"~__proto__":1,"~~__proto__":2,"~\\"":3,"a\\u003Cb":4,"~":5,"~ab":6,"when":7},1,2,3,4,5,6,["Date",""]]}'
    const value = codec.decode(text, 'key') as Record<string, unknown>
    assert.deepEqual(Object.keys(value), ['__proto__', '~__proto__', '"', 'a<b', '~', '~ab', 'when'])
    assert.deepEqual(Object.values(value).slice(0, 6), [1, 2, 3, 4, 5, 6])
    assert.equal(Object.getPrototypeOf(value), Object.prototype)
    const naked = codec.decode('{"~":[["null","~__proto__",1,"~~\\n",2],1,2]}', 'key') as Record<string, unknown>
    assert.deepEqual(Object.keys(naked), ['__proto__', '~\n'])
  })
})
