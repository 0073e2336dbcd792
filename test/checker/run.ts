/**
 * The long form: `npm run check:long -- --store redis --seconds 120 --seed 7`. Prints the verdict; exits with 1 if there
 * is a violation.
 *
 * With `--races 100000` it is a race instead: so many calls of the store itself, over eight connections at a few keys, on
 * `postgres`, `mariadb` or `sqlite`.
 */
import { parseArgs } from 'node:util'
import { campaign, type CampaignOptions } from './campaign.ts'
import type { StoreKind } from './environments/environment.ts'
import { MUTANTS, type MutantName } from './mutants.ts'
import { raceOn, RACE_PLACES, type RacePlace } from './race-places.ts'
import { RACE_MUTANTS, type RaceMutant } from './races.ts'
import { describe } from './report.ts'

const STORES: readonly StoreKind[] = [
  'file',
  'redis',
  'redis2',
  'sentinel',
  'cluster',
  'shards',
  'resharding',
  'postgres',
  'sqlite',
]

const { values } = parseArgs({
  options: {
    store: { type: 'string', default: 'redis' },
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    workers: { type: 'string', default: '4' },
    lanes: { type: 'string', default: '4' },
    bound: { type: 'string', default: '400' },
    pace: { type: 'string', default: '2' },
    mutant: { type: 'string' },
    only: { type: 'string' },
    keep: { type: 'boolean', default: false },
    races: { type: 'string' },
  },
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130))
const wrong = values.races === undefined ? await campaignOf() : await racesOf(Number(values.races))
process.exitCode = wrong > 0 ? 1 : 0

async function campaignOf(): Promise<number> {
  if (!STORES.includes(values.store as StoreKind)) throw new Error(`--store is one of ${STORES.join(', ')}`)
  if (values.mutant !== undefined && !(values.mutant in MUTANTS))
    throw new Error(`--mutant is one of ${Object.keys(MUTANTS).join(', ')}`)
  const options: CampaignOptions = {
    store: values.store as StoreKind,
    seconds: Number(values.seconds),
    seed: Number(values.seed),
    workers: Number(values.workers),
    lanes: Number(values.lanes),
    bound: Number(values.bound),
    pace: Number(values.pace),
    keep: values.keep,
    ...(values.mutant !== undefined && { mutant: values.mutant as MutantName }),
    ...(values.only !== undefined && { only: values.only.split(',') }),
  }
  console.log(`store ${options.store}, seed ${options.seed}, ${options.seconds} s`)
  const report = await campaign(options)
  console.log(describe(report))
  return report.violations.length
}

async function racesOf(calls: number): Promise<number> {
  const { store, mutant, seed } = values
  if (!(store in RACE_PLACES)) throw new Error(`--store is one of ${Object.keys(RACE_PLACES).join(', ')}`)
  if (mutant !== undefined && !RACE_MUTANTS.includes(mutant as RaceMutant))
    throw new Error(`--mutant is one of ${RACE_MUTANTS.join(', ')}`)
  console.log(`races on ${store}, seed ${seed}`)
  const report = await raceOn(store as RacePlace, calls, Number(seed), mutant as RaceMutant | undefined)
  const { lost, seconds, wrong, calls: made } = report
  console.log(`${made} calls in ${seconds.toFixed(1)} s, ${lost} of them refused by a race, ${wrong.length} wrong`)
  for (const sentence of new Set(wrong)) console.log(sentence)
  return wrong.length
}
