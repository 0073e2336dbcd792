import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { judgeRaces, type Call, type Sight } from './checker/races-judge.ts'
import { race } from './checker/races.ts'
import { temporaryDirectory } from './support/temporary-directory.ts'

type Said = Omit<Call, 'key' | 'begun' | 'ended'>

/** Calls one after the other, each of which lasts from its place to half a step later, or as `lasting` says. */
function judged(...said: readonly (Said & { lasting?: readonly [begun: number, ended: number] })[]): string[] {
  return judgeRaces(
    said.map(({ lasting: [begun, ended] = [NaN, NaN], ...rest }, place) => ({
      key: 'k',
      ...rest,
      begun: Number.isNaN(begun) ? place : begun,
      ended: Number.isNaN(ended) ? place + 0.5 : ended,
    })),
  )
}

function sight(version: number, expiresAt = 100): Sight {
  return { version, text: `"${version}"`, expiresAt }
}

function wrote(version: number, over?: number): Said {
  return { wrote: { ...sight(version), ...(over !== undefined && { over }) } }
}

function saw(version: number, expiresAt?: number): Said {
  return { saw: sight(version, expiresAt) }
}

const NOTHING: Said = { foundNothing: true }
const REMOVED: Said = { removed: {} }

describe('the judge of races', () => {
  it('finds nothing wrong with two lives of a key, and with answers that cross', () => {
    assert.deepEqual(
      judged(NOTHING, wrote(1), saw(1), wrote(2, 1), saw(2), REMOVED, NOTHING, wrote(3), { removed: { version: 3 } }),
      [],
    )
    // The one who reads asks before the end, and is answered after it.
    assert.deepEqual(judged(wrote(1), REMOVED, { ...saw(1), lasting: [0.8, 3] }), [])
  })

  const mistakes: [string, string[], RegExp][] = [
    ['two writers of one version', judged(wrote(1), wrote(2, 1), wrote(3, 1)), /replaced twice: a change is lost/],
    ['a version that comes twice', judged(wrote(1), REMOVED, wrote(1)), /written twice/],
    ['a version that does not grow', judged(wrote(5), wrote(4, 5)), /not above/],
    ['a version of nobody', judged(wrote(1), saw(2)), /nobody wrote it/],
    ['another text', judged(wrote(1), { saw: { ...sight(1), text: '' } }), /another text/],
    ['what was replaced', judged(wrote(1), wrote(2, 1), saw(1)), /seen after it was replaced/],
    [
      'what another one had seen replaced already',
      judged(wrote(1), { ...wrote(2, 1), lasting: [1, 9] }, saw(2), saw(1)),
      /seen after it was replaced/,
    ],
    ['what is not written yet', judged(saw(1), wrote(1)), /before it was written/],
    ['absence of what is there', judged(wrote(1), NOTHING, saw(1)), /absent while it was there/],
    ['a life after its end', judged(wrote(1), REMOVED, saw(1)), /removed was seen afterwards/],
    ['a removal of what was replaced', judged(wrote(1), wrote(2, 1), { removed: { version: 1 } }), /not the newest/],
    ['two lives at once', judged(wrote(1), wrote(2), saw(1), saw(2)), /two lives/],
    [
      'a refusal without a reason',
      judged(wrote(1), { ...saw(1), refused: 1 }),
      /refused for the very version that is there/,
    ],
    ['an end that came nearer', judged(wrote(1), { extended: 500 }, saw(1, 100)), /end that is nearer/],
  ]
  for (const [mistake, wrong, sentence] of mistakes) {
    it(`notices ${mistake}`, () => assert.match(wrong.join('\n'), sentence))
  }
})

describe('a race of several processes for a few sessions', () => {
  it('has no wrong answer on SQLite', async () => {
    const url = `sqlite://${join(temporaryDirectory('races'), 'sessions.db')}?pruneInterval=0&deadline=60000`
    const { calls, wrong } = await race({ url, connections: 3, calls: 1500, seed: 5 })
    assert.deepEqual([calls, wrong], [1500, []])
  })
})
