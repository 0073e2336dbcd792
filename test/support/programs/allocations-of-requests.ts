// Prints, as JSON, how many bytes one request allocates in the heap of JavaScript, by what is asked. A process of its own,
// because what was compiled before would be in the figures; run with ALLOCATION_FLAGS of cost-limits.ts.
//
// node <flags> dist/test/support/programs/allocations-of-requests.js <als | memory | file> <directory>

import { printFigures, type Repeat } from '../figures.ts'
import { countCollections } from './collections.ts'

/** Enough that every function is compiled as it will be. */
const WARM_UP = 6000
const BATCHES = 5
const REQUESTS = 300

/** Of a batch that no collection interrupted: what the heap has grown by is what was allocated. */
async function bytesOf(repeat: Repeat): Promise<number> {
  await repeat(WARM_UP)
  const each: number[] = []
  for (let batch = 0; batch < BATCHES; batch++) {
    globalThis.gc?.()
    const collections = countCollections()
    const before = process.memoryUsage().heapUsed
    await repeat(REQUESTS)
    const grown = process.memoryUsage().heapUsed - before
    const { young, others } = collections()
    if (young + others === 0) each.push(grown / REQUESTS)
  }
  if (each.length < BATCHES / 2) throw new Error('the young generation is too small: collections came in between')
  // The least, because what comes on top is the compiler's.
  return Math.round(Math.min(...each))
}

await printFigures(bytesOf)
