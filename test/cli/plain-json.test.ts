import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { plainJson } from '../../src/cli/plain-json.ts'
import { Codec } from '../../src/record/codec.ts'
import { Entry } from '../../src/record/entry.ts'

const CODEC = new Codec()

function textOf(value: unknown): string {
  return CODEC.encode(value, 'value')
}

/** What `show --json` prints of this value, as a program reads it. */
function shown(value: unknown): unknown {
  return JSON.parse(plainJson('value', new Entry(textOf(value))))
}

describe('koa-server-session show --json', () => {
  const at = new Date(1_700_000_000_000)
  const iso = '2023-11-14T22:13:20.000Z'
  const cases: [what: string, value: unknown, shown: unknown][] = [
    ['a Date as its instant', at, iso],
    ['a Date that is none as null', new Date(Number.NaN), null],
    ['a Map of texts as an object', new Map([['tea', { at }]]), { tea: { at: iso } }],
    [
      'a Map of anything as pairs',
      new Map<unknown, unknown>([
        [1, at],
        ['a', 2],
      ]),
      [
        [1, iso],
        ['a', 2],
      ],
    ],
    ['a Set as a list', new Set(['tea', 2n]), ['tea', '2']],
    ['a BigInt as its digits', 12_345_678_901_234_567_890n, '12345678901234567890'],
    ['numbers that JSON has not as texts', [Number.NaN, -Infinity, -0], ['NaN', '-Infinity', 0]],
    ['bytes in base64', [Buffer.from('tea'), new Uint8Array([1, 2]), new ArrayBuffer(1)], ['dGVh', 'AQI=', 'AA==']],
    [
      'numbers in a row as numbers',
      [new Float64Array([0.5, Infinity]), new BigInt64Array([1n])],
      [[0.5, 'Infinity'], ['1']],
    ],
    ['the bytes of a DataView in base64', new DataView(new ArrayBuffer(2)), 'AAA='],
    ['boxed values as what is in them', [Object('tea'), Object(2n), Object(true)], ['tea', '2', true]],
    ['a RegExp as it is written', /a+/gi, '/a+/gi'],
    [
      'a URL as its text',
      [new URL('https://shop.test/?a=1'), new URLSearchParams('a=1&b=2')],
      ['https://shop.test/?a=1', 'a=1&b=2'],
    ],
    ['what is undefined, and holes, as null', [{ a: undefined }, , 1], [{ a: null }, null, 1]], // oxlint-disable-line no-sparse-arrays
    [
      'an object that has one of these deep inside, whatever its names',
      { '~': 1, ['__proto__']: [{ at }] },
      JSON.parse(`{"~":1,"__proto__":[{"at":"${iso}"}]}`),
    ],
  ]
  for (const [what, value, expected] of cases) {
    it(`shows ${what}`, () => assert.deepEqual(shown(value), expected))
  }

  it('shows what JSON has a form for as it is stored', () => {
    const text = '{"cart":{"items":[ 1.0 ]},"note":"x"}'
    assert.equal(plainJson('value', new Entry(text)), text)
  })

  it('shows twice what is referred to twice, in a list, a Map and an object', () => {
    const part = { at }
    const [one] = [{ at: iso }]
    assert.deepEqual(shown([part, part]), [one, one])
    assert.deepEqual(
      shown(
        new Map([
          ['a', part],
          ['b', part],
        ]),
      ),
      { a: one, b: one },
    )
  })

  it('leaves as it is stored what contains itself, would become far longer, or cannot be read', () => {
    const round = new Map<string, unknown>([['at', at]])
    round.set('self', round).set('again', [round])
    const part = { at, name: 'x'.repeat(1000) }
    const many = Array.from({ length: 1000 }, () => part)
    const holes = '{"~":[[-7,30000000]]}'
    const owned = '{"~":"the text of a serializer"}'
    for (const text of [textOf(round), textOf(many), holes, owned, '{"~":"no list"}'])
      assert.equal(plainJson('value', new Entry(text)), text)
  })
})
