/**
 * `npm run bench:nodes`: sites of up to 50 nodes and 10 million sessions, in simulated time. Takes one or two minutes, needs
 * no server, and finds the same each time. Writes results.json here, and with it the chart and the tables of
 * docs/many-machines.md.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { asTheyAre, hurried, keptOn, patient, places, wholeAndPart } from './plan.ts'
import { writePages, type Point, type Results } from './report.ts'
import { simulate } from './site.ts'

const ROOT = join(import.meta.dirname, '../../..')

const points: Point[] = []
for (const place of places()) {
  const point = { ...place, keptOn: await simulate(keptOn(place)), asTheyAre: await simulate(asTheyAre(place)) }
  points.push(point)
  const { hitShare, deliveries, greatestAge } = point.keptOn
  const { pausedShare } = point.asTheyAre
  console.log(
    `${place.nodes} nodes, ${place.writes * 100} % writes${place.hasAffinity ? ', affinity' : ''}: ` +
      `hits ${(hitShare * 100).toFixed(1)} %, ${Math.round(deliveries)} deliveries/s, oldest read ${greatestAge.toFixed(0)} ms, ` +
      `off for ${(pausedShare * 100).toFixed(0)} % of the time`,
  )
}
const { whole, part } = wholeAndPart()
const { calm, troubled } = hurried()
const results: Results = {
  points,
  whole: await simulate(whole),
  part: await simulate(part),
  calm: await simulate(calm),
  troubled: await simulate(troubled),
  patient: await simulate(patient()),
}
writeFileSync(join(ROOT, 'test/simulation/results.json'), `${JSON.stringify(results, rounded, 1)}\n`)
writePages(ROOT)
console.log(`${(process.cpuUsage().user / 1e6).toFixed(0)} s of processor time`)

/** Four digits say enough. */
function rounded(_name: string, value: unknown): unknown {
  return typeof value === 'number' ? Number(value.toPrecision(4)) : value
}
