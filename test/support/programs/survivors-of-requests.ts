// Prints, as JSON, how many bytes of one request are still there after it, by what is asked: what the collector of young
// objects found alive and moved among the old ones. A process of its own; run with SURVIVAL_FLAGS of cost-limits.ts.
//
// node <flags> dist/test/support/programs/survivors-of-requests.js <als | memory | file> <directory>

import { getHeapSpaceStatistics } from 'node:v8'
import { alsApp, sessionApp } from '../../../bench/apps.ts'
import { answer, cookieOf, type Handle } from '../../../bench/socketless.ts'
import { fileStore, memoryStore } from '../../../src/index.ts'
import { SITUATIONS } from '../cost-limits.ts'
import { countCollections } from './collections.ts'

const WARM_UP = 500
/** Enough for some collections of young objects; if it is not, twice as many follow. */
const REQUESTS = 1500
const ENOUGH_COLLECTIONS = 5
const MOST_ATTEMPTS = 10

const [, , kind = '', directory = ''] = process.argv

function oldBytes(): number {
  return getHeapSpaceStatistics().reduce(
    (sum, { space_name: name, space_used_size: used }) => (name.startsWith('new') ? sum : sum + used),
    0,
  )
}

async function repeat(times: number, handle: Handle, url: string, cookie: string): Promise<void> {
  for (let turn = 0; turn < times; turn++) await answer(handle, url, cookie)
}

async function survivorsOf(handle: Handle, url: string, cookie: string): Promise<number> {
  await repeat(WARM_UP, handle, url, cookie)
  let requests = REQUESTS
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
    globalThis.gc?.()
    const collections = countCollections()
    const before = oldBytes()
    await repeat(requests, handle, url, cookie)
    const grown = oldBytes() - before
    const { young, others } = collections()
    // A full collection takes away what is to be counted; without a young one there is nothing to count yet.
    if (young >= ENOUGH_COLLECTIONS && others === 0) return Math.round(grown / requests)
    if (young < ENOUGH_COLLECTIONS) requests *= 2
  }
  throw new Error(`in ${MOST_ATTEMPTS} attempts there was a full collection, or none at all: nothing can be said`)
}

const bytes: Record<string, number> = {}
if (kind === 'als') bytes['read'] = await survivorsOf(alsApp(), '/read', '')
else {
  const store = kind === 'file' ? fileStore({ directory, pruneInterval: 0 }) : memoryStore({ pruneInterval: 0 })
  // A cache of one, so that what is kept of a login is not taken for what was forgotten.
  const { handle } = sessionApp({ store, cache: { max: 1 } })
  const cookie = cookieOf(await answer(handle, '/login'))
  for (const [name, { path, hasCookie }] of Object.entries(SITUATIONS)) {
    bytes[name] = await survivorsOf(handle, path, hasCookie ? cookie : '')
  }
  if (kind === 'file') bytes['login'] = await survivorsOf(handle, '/login', '')
}
process.stdout.write(JSON.stringify(bytes), () => process.exit())
