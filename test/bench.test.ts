import assert from 'node:assert/strict'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { instructionsIn } from '../bench/callgrind.ts'
import { countTables, isSteady } from '../bench/count-report.ts'
import type { Sample } from '../bench/measure.ts'
import { filesOf, withBlock } from '../bench/pages.ts'
import { Budget, jobsOf, nextLaunch, type Job } from '../bench/plan.ts'
import { markdown, readmeBlock } from '../bench/report.ts'
import { SCENARIOS } from '../bench/scenarios.ts'
import { VARIANTS } from '../bench/variants.ts'
import { tablesOf, type Summary, type Table } from '../bench/summary.ts'

const ROOT = join(import.meta.dirname, '../..')
const BENCH = join(ROOT, 'bench')
const README = readFileSync(join(ROOT, 'README.md'), 'utf8')

function recorded(): Summary | undefined {
  const path = join(BENCH, 'results.json')
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Summary) : undefined
}

describe('the figures of the benchmark that are written down', () => {
  it('are, in the README, those of bench/results.json, and none without it', () => {
    const summary = recorded()
    assert.equal(README, withBlock(README, summary ? readmeBlock(summary) : ''))
  })

  it('are, in RESULTS.md and the charts, those of bench/results.json, and no file is left of an older run', () => {
    const summary = recorded()
    const files = summary ? filesOf(summary) : new Map<string, string>()
    for (const [name, text] of files) assert.equal(readFileSync(join(BENCH, name), 'utf8'), text, name)
    const written = readdirSync(BENCH).filter((name) => /\.svg$|^RESULTS\.md$|^results\.json$/.test(name))
    assert.deepEqual(written.toSorted(), [...files.keys()].toSorted())
  })
})

/** A slice of one server; its speed is all that matters here. */
function slice(variant: string, launch: number, round: number, requestsPerSecond: number, scenario: string): Sample {
  return {
    node: 'v24.0.0',
    scenario,
    variant,
    launch,
    round,
    requestsPerSecond,
    cpuPerRequest: 1e6 / requestsPerSecond,
    busy: 1,
    storeCalls: variant === 'ours-file' ? { load: 0.001, save: 1 } : {},
  }
}

function tableOf(samples: readonly Sample[]): Table {
  return tablesOf(samples, [], [])[0] as Table
}

/** Bare Koa and the library, by launch and round. */
function samplesOf(speeds: readonly (readonly [bare: number, ours: number])[][], scenario = 'write'): Sample[] {
  return speeds.flatMap((rounds, launch) =>
    rounds.flatMap(([bare, ours], round) => [
      slice('koa-bare', launch, round, bare, scenario),
      slice('ours-file', launch, round, ours, scenario),
    ]),
  )
}

function summaryOf(loadBefore: number): Summary {
  const samples = ['warm-read', 'write'].flatMap((scenario) => samplesOf([[[1000, 800]]], scenario))
  return {
    machine: {
      date: '2026-01-01',
      version: '1.0.0',
      processors: '2 × a processor',
      memory: '1 GiB',
      system: 'Linux',
      redis: '7',
      isPinned: true,
      peers: {},
      loadBefore,
      loadAfter: 0,
      minutes: 1,
    },
    nodes: ['v24.0.0'],
    plan: { launches: 1, rounds: 1, slice: 1, warmUp: 1 },
    tables: tablesOf(samples, [], []),
    races: [],
  }
}

describe('a ratio of the benchmark', () => {
  it('is between slices of the same round, so that a slow minute of the machine does not count', () => {
    const calm = [1000, 800] as const
    const disturbed = [100, 80] as const
    const [, ours] = tableOf(samplesOf([[calm, disturbed, disturbed, calm, disturbed]])).rows
    assert.equal(ours?.cpuOfBare.median, 1.25)
    assert.equal(ours.cpuOfBare.low, 1.25)
    assert.equal(ours.cpuOfBare.high, 1.25)
  })

  it('is steady once four launches agree within 5 %, and the row says so as long as they do not', () => {
    const launchesWith = (...speeds: number[]) => samplesOf(speeds.map((speed) => [[1000, speed] as const]))
    const isSteady = (samples: Sample[]) => tableOf(samples).rows.map((row) => row.isSteady)
    assert.deepEqual(isSteady(launchesWith(800, 800, 800)), [true, false], 'too few')
    assert.deepEqual(isSteady(launchesWith(800, 810, 790, 800)), [true, true])
    assert.deepEqual(isSteady(launchesWith(800, 500, 790, 950)), [true, false])
    const [bare, ours] = linesOf(markdown({ ...summaryOf(0), tables: [tableOf(launchesWith(800, 500, 790, 950))] }))
    assert.doesNotMatch(bare ?? '', /not steady/)
    assert.match(ours ?? '', /not steady/)
  })

  it('is the median over launches, however many rounds one of them had', () => {
    const launches = [
      Array.from({ length: 9 }, () => [1000, 900] as const),
      [[1000, 700] as const],
      [[1000, 600] as const],
    ]
    const [, ours] = tableOf(samplesOf(launches)).rows
    assert.equal(ours?.ofBare.median, 0.7)
    assert.equal(ours.launches, 3)
  })
})

/** The rows of the first table. */
function linesOf(page: string): string[] {
  return page.split('\n').filter((line) => /^\| (Koa|\*\*koa)/.test(line))
}

describe('a row that contradicts another', () => {
  it('is named with a word on it, in the results and in the README', () => {
    const samples = ['warm-read', 'write'].flatMap((scenario) =>
      (
        [
          ['koa-bare', 1000],
          ['ours-redis', 700],
          ['ours-redis-encrypted', 800],
        ] as const
      ).map(([variant, speed]) => slice(variant, 0, 0, speed, scenario)),
    )
    const summary = { ...summaryOf(0), tables: tablesOf(samples, [], []) }
    const word = /\*koa-server-session, Redis, encrypted\* was measured below \*koa-server-session, Redis\*/
    assert.match(markdown(summary), word)
    assert.match(readmeBlock(summary), word)
    assert.doesNotMatch(markdown(summaryOf(0)), /was measured below/)
  })
})

describe('what the store was asked', () => {
  it('is told for each request, without what comes once in a while', () => {
    const [bare, ours] = tableOf(samplesOf([[[1000, 800]]])).rows
    assert.equal(ours?.store, 'save 1.00')
    assert.equal(bare?.store, '')
  })
})

describe('the plan of a run', () => {
  const nodes = ['24', '20']
  const jobs = jobsOf(nodes, SCENARIOS, 3)
  const nameOf = ({ node, scenario, launch }: Job): string => `${node} ${scenario.name} ${launch}`

  it('measures each scenario with the first version of Node before it measures anything else', () => {
    const first = jobs.slice(0, SCENARIOS.length)
    assert.deepEqual(
      first.map(({ scenario }) => scenario.name).toSorted(),
      SCENARIOS.map(({ name }) => name).toSorted(),
    )
    assert.ok(first.every(({ node, launch, isFull }) => node === '24' && launch === 0 && isFull))
  })

  it('comes in the end to every launch of every scenario, and of the headlines with every version, once', () => {
    const headlines = SCENARIOS.filter(({ isHeadline }) => isHeadline)
    assert.equal(headlines.length, 2)
    const expected = [
      ...SCENARIOS.flatMap(({ name }) => [0, 1, 2].map((launch) => `24 ${name} ${launch}`)),
      ...headlines.flatMap(({ name }) => [0, 1, 2].map((launch) => `20 ${name} ${launch}`)),
    ]
    assert.deepEqual(jobs.map(nameOf).toSorted(), expected.toSorted())
  })

  it('goes on with what is not steady, the headlines first, and ends when all is steady', () => {
    const unsteady = samplesOf([[[1000, 500]], [[1000, 800]]], 'login')
    const steady = samplesOf(Array(4).fill([[1000, 800]]), 'warm-read')
    const shaky = samplesOf([[[1000, 500]], [[1000, 800]], [[1000, 700]], [[1000, 900]], [[1000, 600]]], 'write')
    const next = (samples: Sample[]) => {
      const found = nextLaunch(tablesOf(samples, [], []), SCENARIOS, VARIANTS)
      return found && [found.scenario.name, found.launch, found.variants.map(({ name }) => name)]
    }
    const servers = ['koa-bare', 'koa-als', 'ours-file']
    assert.deepEqual(next([...steady, ...shaky, ...unsteady]), ['write', 5, servers])
    assert.deepEqual(next([...steady, ...unsteady]), ['login', 2, servers])
    assert.equal(next(steady), undefined)
  })

  it('leaves out what would take longer than there is time', () => {
    let now = 0
    const budget = new Budget(100, () => now)
    assert.ok(budget.fits(1000), 'nothing is known yet')
    now = 40
    budget.took(40, 4)
    assert.ok(budget.fits(6))
    assert.ok(!budget.fits(7))
  })
})

describe('the pages of the benchmark', () => {
  it('say that the machine was not quiet, if it was not', () => {
    assert.match(markdown(summaryOf(2)), /The machine was not quiet/)
    assert.match(readmeBlock(summaryOf(2)), /not to be quoted/)
    assert.doesNotMatch(markdown(summaryOf(0.1)), /not quiet/)
    assert.doesNotMatch(readmeBlock(summaryOf(0.1)), /not to be quoted/)
  })

  it('show the same ratio in the README, in RESULTS.md and in the chart', () => {
    const summary = summaryOf(0)
    assert.match(readmeBlock(summary), /\*\*koa-server-session, files\*\* \| 1\.25 /)
    assert.match(markdown(summary), /\*\*koa-server-session, files\*\* \| 1250\.0 \| 1\.25 /)
    assert.match(filesOf(summary).get('main.svg') as string, />1\.25, not steady · 1250 µs</)
  })

  it('are not written into a README that has lost the place for them', () => {
    assert.throws(() => withBlock('# A README\n', 'figures'), /has lost the comments/)
  })
})

describe('the instructions of a request', () => {
  const counts = [
    { scenario: 'warm-read', variant: 'koa-als', slices: [300_000, 100_100, 100_000, 100_200] },
    { scenario: 'warm-read', variant: 'ours-memory', slices: [130_000, 120_000, 121_000, 122_000, 140_000] },
    { scenario: 'warm-read', variant: 'koa-session-map', slices: [150_000, 160_000, 170_000] },
  ] as const

  it('are counted in each function once, and not in those that compile and collect', () => {
    const file = [
      'summary: 1111',
      'fn=(1) Builtins_LoadIC',
      '12 100',
      'cfn=(2) v8::internal::Scavenger::Process()',
      'calls=3 7',
      '13 1000',
      'fn=(2)',
      '7 1000',
      'fn=(1)',
      '+3 10',
      '* 1',
    ]
    assert.equal(instructionsIn(file.join('\n')), 111)
  })

  it('are those of the slices in which all was compiled', () => {
    const [, , ours] = rowsOf(countTables({ node: 'v24.0.0', counts }))
    assert.equal(ours, '| koa-server-session, memory | 121 000 | 20 900 | 1.209 |  |  |')
  })

  it('are steady if these are within 2 % of each other, and the row of others says that they are not', () => {
    assert.deepEqual(counts.map(isSteady), [true, true, false])
    assert.match(rowsOf(countTables({ node: 'v24.0.0', counts })).at(-1) ?? '', /not steady/)
  })
})

function rowsOf(lines: readonly string[]): string[] {
  return lines.filter((line) => line.startsWith('| '))
}
