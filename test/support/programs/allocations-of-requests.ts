// Prints, as JSON, how many bytes one request allocates in the heap of JavaScript, by what is asked. A process of its own,
// because what was compiled before would be in the figures; run with ALLOCATION_FLAGS of cost-limits.ts.
//
// node <flags> dist/test/support/programs/allocations-of-requests.js <als | memory | file> <directory>

import { alsApp, sessionApp } from '../../../bench/apps.ts'
import { answer, cookieOf, type Handle } from '../../../bench/socketless.ts'
import { fileStore, memoryStore } from '../../../src/index.ts'
import { SITUATIONS } from '../cost-limits.ts'
import { countCollections } from './collections.ts'

/** Enough that every function is compiled as it will be. */
const WARM_UP = 6000
const BATCHES = 5
const REQUESTS = 300

const [, , kind = '', directory = ''] = process.argv

async function repeat(times: number, handle: Handle, url: string, cookie: string): Promise<void> {
  for (let turn = 0; turn < times; turn++) await answer(handle, url, cookie)
}

/** Of a batch that no collection interrupted: what the heap has grown by is what was allocated. */
async function bytesOf(handle: Handle, url: string, cookie: string): Promise<number> {
  await repeat(WARM_UP, handle, url, cookie)
  const each: number[] = []
  for (let batch = 0; batch < BATCHES; batch++) {
    globalThis.gc?.()
    const collections = countCollections()
    const before = process.memoryUsage().heapUsed
    await repeat(REQUESTS, handle, url, cookie)
    const grown = process.memoryUsage().heapUsed - before
    const { young, others } = collections()
    if (young + others === 0) each.push(grown / REQUESTS)
  }
  if (each.length < BATCHES / 2) throw new Error('the young generation is too small: collections came in between')
  // The least, because what comes on top is the compiler's.
  return Math.round(Math.min(...each))
}

const bytes: Record<string, number> = {}
if (kind === 'als') bytes['read'] = await bytesOf(alsApp(), '/read', '')
else {
  const store = kind === 'file' ? fileStore({ directory, pruneInterval: 0 }) : memoryStore({ pruneInterval: 0 })
  const { handle } = sessionApp({ store })
  const cookie = cookieOf(await answer(handle, '/login'))
  for (const [name, { path, hasCookie }] of Object.entries(SITUATIONS)) {
    bytes[name] = await bytesOf(handle, path, hasCookie ? cookie : '')
  }
}
process.stdout.write(JSON.stringify(bytes), () => process.exit())
