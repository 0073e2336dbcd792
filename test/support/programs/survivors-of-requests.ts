// Prints, as JSON, how many bytes of one request are still there after it, by what is asked: what the collector of young
// objects found alive and moved among the old ones. A process of its own; run with SURVIVAL_FLAGS of cost-limits.ts.
//
// node <flags> dist/test/support/programs/survivors-of-requests.js <als | memory | file> <directory>

import { getHeapSpaceStatistics } from 'node:v8'
import { printFigures, type Repeat } from '../figures.ts'
import { countCollections } from './collections.ts'

const WARM_UP = 500
/** Enough for some collections of young objects; if it is not, twice as many follow. */
const REQUESTS = 1500
const ENOUGH_COLLECTIONS = 5
const MOST_ATTEMPTS = 10

function oldBytes(): number {
  return getHeapSpaceStatistics().reduce(
    (sum, { space_name: name, space_used_size: used }) => (name.startsWith('new') ? sum : sum + used),
    0,
  )
}

async function survivorsOf(repeat: Repeat): Promise<number> {
  await repeat(WARM_UP)
  let requests = REQUESTS
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
    globalThis.gc?.()
    const collections = countCollections()
    const before = oldBytes()
    await repeat(requests)
    const grown = oldBytes() - before
    const { young, others } = collections()
    // A full collection takes away what is to be counted; without a young one there is nothing to count yet.
    if (young >= ENOUGH_COLLECTIONS && others === 0) return Math.round(grown / requests)
    if (young < ENOUGH_COLLECTIONS) requests *= 2
  }
  throw new Error(`in ${MOST_ATTEMPTS} attempts there was a full collection, or none at all: nothing can be said`)
}

// A cache of one, so that what is kept of a login is not taken for what was forgotten.
await printFigures(survivorsOf, { cache: { max: 1 }, login: true })
