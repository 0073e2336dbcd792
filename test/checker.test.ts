import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { campaign, type CampaignOptions, type Report } from './checker/campaign.ts'
import type { MutantName } from './checker/mutants.ts'
import { perform, type PlayName } from './checker/plays.ts'
import { describe as describeReport, explain } from './checker/report.ts'

const SEED = 20_261_122

/** The quick form; `npm run check:long` is the long one. */
async function findsNothing(test: TestContext, options: Omit<CampaignOptions, 'seed'>): Promise<Report> {
  const report = await campaign({ seed: SEED, pace: 3, ...options })
  test.diagnostic(`seed ${SEED}`)
  for (const line of describeReport(report).split('\n').slice(3, -1)) test.diagnostic(line)
  assert.equal(report.violations.length, 0, describeReport(report))
  const { hits, acknowledgedWrites, acknowledgedEnds } = report.figures
  // Otherwise there was nothing to be found.
  assert.ok(hits > 100 && acknowledgedWrites > 100 && acknowledgedEnds > 5, describeReport(report))
  return report
}

describe(
  'several processes under chaos lose nothing, resurrect nothing and serve nothing old',
  { concurrency: false },
  () => {
    it('with files, while processes are stopped and killed', async (test) => {
      const { figures } = await findsNothing(test, { store: 'file', seconds: 4 })
      assert.equal(figures.stalest, 0)
    })

    it('with Redis, while connections, processes and the server are cut, stopped, delayed and killed', async (test) => {
      await findsNothing(test, { store: 'redis', seconds: 7 })
    })

    it('with Redis over RESP2, where messages and answers come over two connections', async (test) => {
      await findsNothing(test, { store: 'redis2', seconds: 6 })
    })
  },
)

describe('the checker notices when the library is broken', { concurrency: 2 }, () => {
  const mistakes: [MutantName, Omit<CampaignOptions, 'seed' | 'seconds' | 'mutant'>][] = [
    ['noLease', { store: 'redis', only: ['black hole'], pace: 4 }],
    ['noPublish', { store: 'redis', only: [] }],
    ['blindOverwrite', { store: 'redis', only: [] }],
    ['recreating', { store: 'redis', only: [] }],
    ['alwaysCurrent', { store: 'file', only: [] }],
  ]
  for (const [mutant, options] of mistakes) {
    it(mutant, async (test) => {
      const started = performance.now()
      const report = await campaign({
        seed: SEED,
        seconds: 30,
        mutant,
        bound: 150,
        workers: 2,
        untilViolation: true,
        pace: 2,
        ...options,
      })
      test.diagnostic(
        `${report.violations.length} violations within ${((performance.now() - started) / 1000).toFixed(1)} s`,
      )
      assert.ok(report.violations.length > 0, describeReport(report))
    })
  }
})

describe('the checker notices it in a play', { concurrency: false }, () => {
  const directed: [MutantName, PlayName][] = [
    ['noToken', 'overtaken'],
    ['goneOnReplica', 'replica'],
  ]
  for (const [mutant, play] of directed) {
    it(`${mutant}, in "${play}"`, async () => {
      const { violations } = await perform(play, mutant)
      assert.ok(violations.length > 0)
    })
  }
})

describe('the library as it is passes the plays', { concurrency: false }, () => {
  const plays: [PlayName, string][] = [
    ['overtaken', 'an answer that the news of a destroy overtook is not kept'],
    ['replica', 'a server that has become a replica logs nobody out'],
    ['joined', 'a read that joins a slow one gets nothing that is older than the bound'],
    ['forgotten', 'what a failover lost is not taken for what was written after it'],
  ]
  for (const [play, sentence] of plays) {
    it(sentence, async () => {
      const { violations } = await perform(play)
      assert.equal(violations.length, 0, violations.map(explain).join('\n'))
    })
  }
})
