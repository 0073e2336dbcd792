import assert from 'node:assert/strict'
import fc from 'fast-check'
import { Codec } from '../../../src/record/codec.ts'
import { Entry } from '../../../src/record/entry.ts'
import { newRecord, type SessionRecord, type Terms } from '../../../src/record/record.ts'
import type { Notice, Notices } from '../../../src/record/notices.ts'
import type { Instant } from '../../../src/units.ts'

export const codec: Codec = new Codec()
export const TERMS: Terms = { idleTimeout: 1_800_000, absoluteTimeout: 28_800_000, persistent: false }
export const CREATED_AT: Instant = 1_700_000_000_000

export const empty: SessionRecord = newRecord(CREATED_AT, TERMS)

export function entriesOf(values: Record<string, unknown> | Iterable<[string, unknown]>): Map<string, Entry> {
  const pairs = Symbol.iterator in values ? [...values] : Object.entries(values)
  return new Map(pairs.map(([name, value]) => [name, new Entry(codec.encode(value, name))]))
}

/** Several notices of one key are several pairs. Each has its number as its id. */
export function noticesOf(values: Record<string, unknown> | Iterable<[string, unknown]>): Notices {
  const notices = new Map<string, Notice[]>()
  let number = 0
  for (const [key, value] of Symbol.iterator in values ? values : Object.entries(values)) {
    const notice = { id: `#${number++}`, entry: new Entry(codec.encode(value, key)) }
    notices.set(key, [...(notices.get(key) ?? []), notice])
  }
  return notices
}

export function recordWith(
  data: Record<string, unknown> | Iterable<[string, unknown]>,
  flash: Record<string, unknown> | Iterable<[string, unknown]> = {},
): SessionRecord {
  return { ...empty, entries: entriesOf(data), flash: noticesOf(flash) }
}

/** The notices of each key as a reader gets them, oldest first. */
export function flashOf({ flash }: SessionRecord): Record<string, unknown[]> {
  const lists = Array.from(flash, ([key, list]) => [key, list.map(({ entry }) => entry.read(codec, key))] as const)
  return Object.fromEntries(lists)
}

export function idsOf({ flash }: SessionRecord, key: string): string[] {
  return (flash.get(key) ?? []).map(({ id }) => id)
}

/** The values of a record, as a reader gets them, in their order. */
export function valuesOf(entries: ReadonlyMap<string, Entry>): [string, unknown][] {
  return [...entries].map(([name, entry]) => [name, entry.read(codec, name)])
}

export function textsOf(entries: ReadonlyMap<string, Entry>): [string, string][] {
  return [...entries].map(([name, { text }]) => [name, text])
}

/** As JSON reads them, because the text of a notice that is not the newest is made anew. */
function noticeTextsOf(notices: Notices): Map<string, [string, string][]> {
  return new Map(
    Array.from(notices, ([key, list]) => [
      key,
      list.map(({ id, entry }) => [id, JSON.stringify(JSON.parse(entry.text))]),
    ]),
  )
}

export function assertSame(actual: SessionRecord, expected: SessionRecord): void {
  const { entries, flash, ...terms } = actual
  const { entries: expectedEntries, flash: expectedFlash, ...expectedTerms } = expected
  assert.deepEqual(terms, expectedTerms)
  assert.deepEqual(new Map(textsOf(entries)), new Map(textsOf(expectedEntries)))
  assert.deepEqual(noticeTextsOf(flash), noticeTextsOf(expectedFlash))
}

const names: fc.Arbitrary<string> = fc
  .oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('', 'constructor', '0', '10', '"', '\\', '":', '\n', 'a","b":', '}}', '"data":{', '\u2028'),
  )
  .filter((name) => name !== '__proto__') // no session has data of this name
export const values: fc.Arbitrary<unknown> = fc.oneof(
  fc.jsonValue(),
  fc.date({ noInvalidDate: true }),
  fc.bigInt(),
  fc.constantFrom(undefined, { '~': 1 }, '}}\n}'),
)
const data: fc.Arbitrary<[string, unknown][]> = fc.array(fc.tuple(names, values)).map((pairs) => [...new Map(pairs)])
export const records: fc.Arbitrary<SessionRecord> = fc
  .record({
    data,
    flash: fc.oneof(fc.constant([]), data, fc.array(fc.tuple(fc.constantFrom('', 'a', '"'), values))),
    createdAt: fc.nat(),
    idleTimeout: fc.nat().map((length) => length + 1),
    absoluteTimeout: fc.nat().map((length) => length + 1),
    persistent: fc.boolean(),
    proofs: fc.array(fc.tuple(fc.constantFrom('password', 'passkey', '0', '__proto__'), fc.nat())),
  })
  .map(({ data, flash, proofs, ...terms }): SessionRecord => ({
    ...terms,
    ...(proofs.length > 0 && { proofs: new Map(proofs) }),
    entries: entriesOf(data),
    flash: noticesOf(flash),
  }))
