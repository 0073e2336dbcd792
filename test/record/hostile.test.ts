import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { SessionError } from '../../src/errors.ts'
import { Codec } from '../../src/record/codec.ts'
import { Entry } from '../../src/record/entry.ts'
import { parse } from '../../src/record/format.ts'
import { countingCalls, type CallsOf } from '../support/calls.ts'
import { HOSTILE } from '../support/records/hostile.ts'
import { assertHides } from '../support/secrecy.ts'

const codec = new Codec()
const SECRET = 'the-value-nobody-may-read'

/**
 * What reading, comparing and writing again may take, in calls of the library's functions. Each item of an ordinary array
 * takes about five, and what is small may be looked at as if nothing in it stood twice.
 */
const CALLS_AT_LEAST = 40_000
const CALLS_PER_CHARACTER = 10

const counting = (use: (callsOf: CallsOf) => void): void => countingCalls('/src/record/', use)

function assertProportionate(callsOf: CallsOf, text: string, work: () => void): number {
  const calls = callsOf(work)
  assert.ok(calls > 0, 'the calls are counted')
  assert.ok(
    calls < CALLS_AT_LEAST + CALLS_PER_CHARACTER * text.length,
    `${calls} calls for ${text.length} characters: ${text.slice(0, 100)}`,
  )
  return calls
}

/** What a request does with a value that it reads, and sets again in another place; the error if that was refused. */
function readAndCommit(text: string): SessionError | undefined {
  try {
    const entry = new Entry(text)
    const value = entry.read(codec, 'cart')
    if (!entry.isUntouched(value)) codec.encode(value, 'cart')
    codec.encode([value, { value }], 'cart')
    return undefined
  } catch (error) {
    assert.ok(error instanceof SessionError, `a bare error: ${String(error)}`)
    return error
  }
}

describe('a value that somebody else put into the store', () => {
  for (const [what, text] of Object.entries(HOSTILE)) {
    it(`takes no more work than in proportion to its length: ${what}`, (test) => {
      counting((callsOf) => {
        const calls = assertProportionate(callsOf, text, () => void readAndCommit(text))
        test.diagnostic(`${calls} calls for ${text.length} characters`)
      })
    })
  }

  it('becomes a text in proportion to its own, whatever it refers to twice', () => {
    for (const [what, text] of Object.entries(HOSTILE)) {
      let written: string
      try {
        written = codec.encode(codec.decode(text, 'cart'), 'cart')
      } catch {
        continue // refused, of which other tests tell
      }
      assert.ok(written.length < 20_000 + 2 * text.length, `${what}: ${written.length} characters of ${text.length}`)
    }
  })

  // Not our functions but those of V8 and Node would be slow with these.
  for (const [what, reason] of [
    ['a Set of very many numbers', 'session.cart (inside a Set) cannot be read: there are too many numbers.'],
    ['a Set of one number again and again', 'session.cart (inside a Set) cannot be read: there are too many numbers.'],
    ['a Map from very many BigInts', 'session.cart (inside a Map) cannot be read: there are too many numbers.'],
    ['a URL whose host takes long to translate', 'session.cart cannot be read: it is damaged, or another program'],
    ['a RegExp whose class is compiled for long', 'session.cart cannot be read: it is a RegExp that takes too long'],
    ['many RegExps', 'it is a RegExp that takes too long to compile.'],
  ] as const) {
    it(`is refused, because no count would show how long it takes: ${what}`, () => {
      const error = readAndCommit(HOSTILE[what] as string)
      assert.equal(error?.code, 'ERR_SESSION_UNREADABLE')
      assert.ok(error?.message.includes(reason), error?.message)
    })
  }

  it('takes no more, and tells nothing of itself, whatever list of parts it is', () => {
    counting((callsOf) =>
      fc.assert(
        fc.property(parts, fc.boolean(), (list, isEscaped) => {
          const text = JSON.stringify({ '~': isEscaped ? { escaped: list } : list })
          assertProportionate(callsOf, text, () => {
            const error = readAndCommit(text)
            if (error) assertHides(error, SECRET)
          })
        }),
        { numRuns: 100 },
      ),
    )
  })
})

describe('a whole record of such values', () => {
  it('takes no more work than in proportion to its length, however it is laid out', () => {
    // Only these end the whole record, if the text of each value has to be made anew.
    const others = Object.entries(HOSTILE).filter(([name]) => !/^deep \w+, plain$/.test(name))
    const values = others.map(([name, text]) => `${JSON.stringify(name)}:${text}`)
    const head = '{"format":1,"createdAt":1,"idleTimeout":1000,"absoluteTimeout":1000,"data":'
    for (const data of [`{\n${values.join(',\n')}\n}}`, `{${values.join(', ')}}}`]) {
      const work = (): void => {
        for (const [name, entry] of parse(head + data).entries) {
          try {
            codec.encode(entry.read(codec, name), name)
          } catch (error) {
            assert.ok(error instanceof SessionError, `a bare error: ${String(error)}`)
          }
        }
      }
      counting((callsOf) => void assertProportionate(callsOf, head + data, work))
    }
  })
})

/** A list of parts, some of them well-formed, that refer to each other at random. */
const references = fc.array(fc.integer({ min: -8, max: 30 }), { maxLength: 12 })
const parts: fc.Arbitrary<unknown[]> = fc.array(
  fc.oneof(
    references,
    references.map((list) => [-7, 1000, ...list]),
    fc.dictionary(fc.constantFrom('a', 'b', '__proto__', '%0022', '~a'), fc.integer({ min: -8, max: 30 })),
    fc
      .tuple(
        fc.constantFrom('Map', 'Set', 'Date', 'BigInt', 'RegExp', 'Object', 'Buffer', 'Uint8Array', SECRET),
        fc.oneof(references, fc.constantFrom([SECRET], ['12'], [''], [[]], [{}], [true])),
      )
      .map(([tag, rest]) => [tag, ...rest]),
    fc.constantFrom(SECRET, 5, true, null, ['URL', `http://${SECRET}.test/`], ['ArrayBuffer', 'AAAAAAAA']),
  ),
  { minLength: 1, maxLength: 30 },
)
