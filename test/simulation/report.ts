import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { lineChart, type Line } from '../../bench/chart.ts'
import { grouped } from '../../bench/numbers.ts'
import type { Figures } from './figures.ts'
import { AFFINITY, NODES, WRITES, type Place } from './plan.ts'

/** What came of one place on the curves. */
export interface Point extends Place {
  /** While the caches were kept from switching themselves off. */
  readonly keptOn: Figures
  readonly asTheyAre: Figures
}

export interface Results {
  readonly points: readonly Point[]
  /** A small site with all of its sessions, and with one in fifty. */
  readonly whole: Figures
  readonly part: Figures
  /** Visitors in a hurry, with connections that hang and without. */
  readonly calm: Figures
  readonly troubled: Figures
  /** 50 nodes with affinity and 10 % writes, with a `maxAge` of ten minutes. */
  readonly patient: Figures
}

const RESULTS = 'test/simulation/results.json'
const CHART = 'docs/images/many-nodes.svg'
const GUIDE = 'docs/many-machines.md'
const BEGIN = '<!-- simulation: written by npm run bench:nodes -->'
const END = '<!-- /simulation -->'

/** Draws the chart and the tables anew, from the results that are written down. */
export function writePages(root: string): void {
  for (const [path, text] of pagesOf(root)) writeFileSync(join(root, path), text)
}

/** The chart, and the guide with the tables, by their paths. */
export function pagesOf(root: string): Map<string, string> {
  const results = JSON.parse(readFileSync(join(root, RESULTS), 'utf8')) as Results
  const guide = readFileSync(join(root, GUIDE), 'utf8')
  const begin = guide.indexOf(BEGIN)
  const end = guide.indexOf(END)
  if (begin === -1 || end < begin) throw new Error(`${GUIDE} has lost the comments ${BEGIN} and ${END}.`)
  return new Map([
    [CHART, chart(results)],
    [GUIDE, `${guide.slice(0, begin + BEGIN.length)}\n\n${tables(results)}\n\n${guide.slice(end)}`],
  ])
}

const COLOURS = [0, 1, 2]

function chart({ points }: Results): string {
  const line = (writes: number, hasAffinity: boolean, figure: (point: Point) => number): Line => ({
    label: `${percent(writes)} writes, ${hasAffinity ? 'one node' : 'any node'}`,
    colour: COLOURS[WRITES.indexOf(writes as (typeof WRITES)[number])]!,
    points: points
      .filter((point) => point.writes === writes && point.hasAffinity === hasAffinity)
      .map((point) => ({ x: point.nodes, y: figure(point) })),
    isDashed: !hasAffinity,
  })
  const lines = (figure: (point: Point) => number): Line[] =>
    WRITES.flatMap((writes) => AFFINITY.map((hasAffinity) => line(writes, hasAffinity, figure)))
  return lineChart(
    'Many nodes: what the cache answers, and what that costs',
    'Simulated with the library’s own cache and links. Each node has 200 000 sessions and 400 requests a second.',
    [
      {
        heading: 'Reads that the caches answer, if they are kept on',
        unit: '%, by the number of nodes',
        lines: lines(({ keptOn }) => keptOn.hitShare * 100),
        isLogX: true,
      },
      {
        heading: 'Messages of other nodes for each of these hits; above 2 the caches switch themselves off',
        unit: 'by the number of nodes',
        lines: lines(messagesForHit).map((each) => ({ ...each, points: each.points.filter(({ y }) => y > 0) })),
        isLogX: true,
        isLogY: true,
      },
    ],
  )
}

/** Those about writes of other nodes. */
function messagesForHit({ nodes, keptOn }: Point): number {
  const { hitShare, readsOfRedis, deliveries } = keptOn
  const hits = (readsOfRedis * hitShare) / (1 - hitShare)
  return (deliveries * (nodes - 1)) / nodes / hits
}

function tables({ points, whole, part, calm, troubled, patient }: Results): string {
  const largest = points.filter(({ nodes }) => nodes === NODES.at(-1))
  const most = (figure: 'cacheSessions' | 'cacheBytes'): number =>
    Math.max(...largest.map(({ keptOn }) => keptOn[figure]))
  return [
    '| 50 nodes, 10 million sessions, 20 000 requests/s | hits | messages/s from Redis | of these, to each node | messages for each hit | reads of Redis/s | caches off |',
    '|---|---|---|---|---|---|---|',
    ...largest.map((point) => {
      const { nodes, writes, hasAffinity, keptOn, asTheyAre } = point
      const { hitShare, deliveries, readsOfRedis } = keptOn
      return (
        `| ${percent(writes)} writes, ${hasAffinity ? 'each visitor to one node' : 'any node'} | ${percent(hitShare)} | ` +
        `${grouped(twoDigits(deliveries))} | ${grouped(twoDigits(deliveries / nodes))} | ${twoDigits(messagesForHit(point))} | ` +
        `${grouped(twoDigits(readsOfRedis))} | ${percent(asTheyAre.pausedShare)} of the time |`
      )
    }),
    '',
    `The cache of a node holds up to ${grouped(twoDigits(most('cacheSessions')))} of these sessions, in ` +
      `${Math.round(most('cacheBytes') / 2 ** 20)} MiB (estimated; a record has half a kilobyte). ` +
      `With 10 % writes and each visitor at one node, a \`maxAge\` of ten minutes instead of one makes ${percent(patient.hitShare)} hits of it.`,
    '',
    '| 10 nodes, 30 % writes, visitors who ask four times a second, at any node | reads | of these outdated | half of these were outdated for less than | 99 % | the worst | accused by the audit |',
    '|---|---|---|---|---|---|---|',
    ...(
      [
        ['nothing goes wrong', calm],
        ['each connection hangs once a minute, for up to four seconds, or is lost', troubled],
      ] as const
    ).map(
      ([name, { requests, outdatedShare, medianAge, highAge, greatestAge, audited, stale }]) =>
        `| ${name} | ${grouped(requests)} | ${outdatedShare > 0 ? `${(outdatedShare * 100).toPrecision(2)} %` : 'none'} | ` +
        `${length(medianAge)} | ${length(highAge)} | ${length(greatestAge)} | ${stale} of ${grouped(audited)} |`,
    ),
    '',
    `One session in ten to a hundred is simulated. On a small site (5 nodes, 10 % writes) all sessions give ${percent1(whole.hitShare)} hits and ` +
      `${grouped(twoDigits(whole.deliveries))} messages a second, and one in fifty ${percent1(part.hitShare)} and ${grouped(twoDigits(part.deliveries))}.`,
  ].join('\n')
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}

function percent1(share: number): string {
  return `${(share * 100).toFixed(1)} %`
}

function length(age: number): string {
  if (age === 0) return '–'
  return age < 10 ? `${age.toPrecision(2)} ms` : `${Math.round(age)} ms`
}

function twoDigits(value: number): number {
  return Number(value.toPrecision(2))
}
