import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { format, parse } from '../../src/record/format.ts'
import { assertSame, empty, flashOf, idsOf, recordWith, records, valuesOf } from '../support/records/records.ts'
import { discreet } from '../support/secrecy.ts'

const SECRET = 'the-value-nobody-may-read'

describe('a record as text', () => {
  it('is read as what was written, whatever its names and values', () => {
    fc.assert(
      fc.property(records, (record) => assertSame(parse(format(record)), record)),
      { numRuns: 2000 },
    )
  })

  it('is one JSON document that other programs read', () => {
    fc.assert(
      fc.property(records, (record) => {
        const document = JSON.parse(format(record)) as { format: number; data: object }
        assert.equal(document.format, 1)
        assert.equal(Object.keys(document.data).length, record.entries.size)
      }),
    )
    assert.equal(
      format({ ...recordWith({ user: 'ann', cart: { items: [1] } }, { note: 'hi' }), persistent: true }),
      '{"format":1,"createdAt":1700000000000,"idleTimeout":1800000,"absoluteTimeout":28800000,"persistent":true,' +
        '"notices":{"note":[["#0"]]},"data":{\n' +
        '"user":"ann",\n"cart":{"items":[1]}\n},"flash":{\n"note":"hi"\n}}',
    )
  })

  const OLD =
    '{"format":1,"createdAt":1,"idleTimeout":1,"absoluteTimeout":1,"data":{},"flash":{\n"error":"Saved",\n"note":["Saved"]\n}}'

  it('is read as releases wrote it that knew one notice of a key, and every reader gives that one the same name', () => {
    const [one, other] = [parse(OLD), parse(OLD)]
    assert.deepEqual(flashOf(one), { error: ['Saved'], note: [['Saved']] })
    assertSame(one, other)
    assert.notDeepEqual(idsOf(one, 'error'), idsOf(one, 'note'))
    assertSame(parse(format(one)), one)
  })

  it('shows to such releases the newest notice of each key, where they look for it', () => {
    const { data, flash } = JSON.parse(
      format(
        recordWith({ a: 1 }, [
          ['error', 'first'],
          ['error', ['second']],
          ['note', null],
        ]),
      ),
    ) as Record<string, unknown>
    assert.deepEqual([data, flash], [{ a: 1 }, { error: ['second'], note: null }])
  })

  it('has the same text when it is read and written again, so that an untouched key costs nothing', () => {
    fc.assert(
      fc.property(records, (record) => {
        const text = format(record)
        const again = format(parse(text))
        assertSame(parse(again), record)
        assert.equal(format(parse(again)), again)
      }),
    )
    const text = format(recordWith({ b: 1, a: [1, { x: 'y' }], 7: 'seven', 1: '\u2028' }))
    assert.equal(format(parse(text)), text)
  })

  it('names what was proved and when, beside whose session it is', () => {
    const proofs = new Map([
      ['password', 1_700_000_000_500],
      ['passkey', 1],
    ])
    const record = { ...recordWith({ user: 'ann' }), subject: 'ann', proofs, unheld: [] }
    const text = format(record)
    assert.equal(
      text,
      '{"format":1,"createdAt":1700000000000,"idleTimeout":1800000,"absoluteTimeout":28800000,"subject":"ann",' +
        '"proofs":{"password":1700000000500,"passkey":1},"unheld":[],"data":{\n"user":"ann"\n}}',
    )
    assertSame(parse(text), record)
  })

  it('is without proofs if an earlier release wrote it', () => {
    assert.equal('proofs' in parse(format(recordWith({ user: 'ann' }))), false)
    assert.equal('proofs' in parse(format({ ...empty, proofs: new Map() })), false)
  })

  it('cannot be read if its proofs are no instants', () => {
    for (const proofs of ['1', '[1]', '{"password":"now"}', '{"password":-1}', '{"password":1e99}', 'null']) {
      const text = format(empty).replace(',"data":', `,"proofs":${proofs},"data":`)
      assert.throws(() => parse(text), discreet('ERR_SESSION_UNREADABLE', SECRET))
    }
  })

  it('keeps the order in which the keys were set', () => {
    const text = format(
      recordWith([
        ['z', 1],
        ['a', 2],
        ['m', 3],
      ]),
    )
    assert.deepEqual([...parse(text).entries.keys()], ['z', 'a', 'm'])
  })

  it('keeps ten thousand keys, the empty key and keys that look like the layout', () => {
    const many: [string, unknown][] = Array.from({ length: 10_000 }, (_, index) => [`key ${index}`, { index }])
    const odd: [string, unknown][] = [
      ['', 1],
      ['"', 2],
      ['\\', 3],
      ['\\"', 4],
      ['a\nb', 5],
      ['":', 6],
      ['a":1,\n"b', 7],
      ['}}', 8],
    ]
    const record = recordWith([...odd, ...many])
    assert.deepEqual(valuesOf(parse(format(record)).entries), [...odd, ...many])
  })

  it('keeps values that JSON would change', () => {
    const values: [string, unknown][] = [
      ['when', new Date(5)],
      ['big', 5n],
      ['set', new Set([1])],
      ['mark', { '~': [1] }],
    ]
    assert.deepEqual(valuesOf(parse(format(recordWith(values))).entries), values)
  })

  it('is read in the layout of other programs too', () => {
    const record = { ...recordWith({ a: { b: [1, 'x'] }, when: new Date(5), n: null, '': '"' }), persistent: true }
    const document = JSON.parse(format(record)) as unknown
    for (const text of [
      JSON.stringify(document),
      JSON.stringify(document, null, 2),
      JSON.stringify(document, null, '\t'),
      JSON.stringify(document, null, 2).replaceAll(/^ +/gm, ''),
      JSON.stringify(document, null, 2).replaceAll('\n', '\r\n'),
      format(record).replaceAll('":', '": '),
      format(record).replaceAll('{"~"', '{ "~"'),
      ` ${format(record)}\n`,
    ]) {
      assertSame(parse(text), record)
    }
  })

  it('is read right where lines look like values and are not', () => {
    const head = format(empty).slice(0, -3)
    for (const text of [
      `${head}{\n"a":{\n"b":1},"c":2\n}}`,
      `${head}{\n"a":{\n"a":1},\n"c":2\n}}`,
      `${head}{\n"a":[\n"b",\n"c"],"b":2\n}}`,
      `${head}{\n"a":1,"b":2\n}}`,
      `${head}{\n"a":1\n,"b":2\n}}`,
    ]) {
      const expected = (JSON.parse(text) as { data: Record<string, unknown> }).data
      assert.deepEqual(Object.fromEntries(valuesOf(parse(text).entries)), expected)
      assert.doesNotThrow(() => parse(format(parse(text))), text)
    }
  })
})

describe('a text that is no record', () => {
  const text = format(recordWith({ secret: SECRET, list: [1, 2] }, { note: SECRET }))

  it('is unreadable wherever it is cut', () => {
    for (let length = 0; length < text.length; length++) {
      assert.throws(() => parse(text.slice(0, length)), discreet('ERR_SESSION_UNREADABLE', SECRET))
    }
  })

  it('is unreadable, says why, and its content is not told', () => {
    const cases: [text: string, why: RegExp][] = [
      ['', /not JSON/],
      [SECRET, /not JSON/],
      [`"${SECRET}"`, /not a session record/],
      ['null', /not a session record/],
      [`["${SECRET}"]`, /not a session record/],
      [`{"cookie":{},"passport":{"user":"${SECRET}"}}`, /format is unknown/],
      [text.replace('"format":1', '"format":2'), /format is 2, and this release reads 1/],
      [text.replace('"format":1', `"format":"${SECRET}"`), /format is unknown/],
      [text.replace('"createdAt":1700000000000', '"createdAt":"yesterday"'), /another type/],
      [text.replace('"idleTimeout":1800000', '"idleTimeout":-1'), /another type/],
      [text.replace('"absoluteTimeout":28800000', '"absoluteTimeout":1e999'), /another type/],
      [text.replace(/"data":\{[^}]*\}/, '"data":[]'), /another type/],
      [text.replace(/"data":\{[^}]*\},/, ''), /another type/],
      [text.replace(/"flash":\{[^}]*\}/, '"flash":5'), /flash values/],
      [text.replace(/"flash":\{[^}]*\}/, '"flash":null'), /flash values/],
      ...[
        '5',
        'null',
        `["${SECRET}"]`,
        `{"note":"${SECRET}"}`,
        '{"note":[]}',
        `{"note":[["1"],["2","${SECRET}"]]}`,
        `{"note":[["1","${SECRET}"]]}`,
        '{"note":[[1]]}',
        '{"note":["1"]}',
        `{"note":[["1"]],"${SECRET}":[["2"]]}`,
      ].map((notices): [string, RegExp] => [
        text.replace(/"notices":\{[^}]*\}/, `"notices":${notices}`),
        /flash values/,
      ]),
    ]
    for (const [wrong, why] of cases) {
      assert.throws(
        () => parse(wrong),
        (error: Error) => discreet('ERR_SESSION_UNREADABLE', SECRET)(error) && why.test(error.message),
        wrong,
      )
    }
  })
})
