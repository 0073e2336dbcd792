// Prints, as JSON, how many bytes of one request are still there after it, by what is asked: what the collector of young
// objects found alive and moved among the old ones. A process of its own; run with SURVIVAL_FLAGS of cost-limits.ts.
//
// node <flags> dist/test/support/programs/survivors-of-requests.js <als | memory | file> <directory>

import { PerformanceObserver, constants } from 'node:perf_hooks'
import { getHeapSpaceStatistics } from 'node:v8'
import { alsApp, sessionApp } from '../../../bench/apps.ts'
import { answer, cookieOf, type Handle } from '../../../bench/socketless.ts'
import { fileStore, memoryStore } from '../../../src/index.ts'
import { SITUATIONS } from '../cost-limits.ts'

const WARM_UP = 500
const REQUESTS = 1500

const [, , kind = '', directory = ''] = process.argv

let young = 0
let full = 0
const observer = new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    const { kind } = (entry as unknown as { detail: { kind: number } }).detail
    if (kind === constants.NODE_PERFORMANCE_GC_MINOR) young++
    else full++
  }
})
observer.observe({ entryTypes: ['gc'] })

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
  globalThis.gc?.()
  await new Promise((resolve) => setTimeout(resolve, 5)) // the observer hears of collections late
  young = full = 0
  const before = oldBytes()
  await repeat(REQUESTS, handle, url, cookie)
  const grown = oldBytes() - before
  await new Promise((resolve) => setTimeout(resolve, 5))
  if (young < 5 || full > 0) throw new Error(`${young} young and ${full} full collections: nothing can be said`)
  return Math.round(grown / REQUESTS)
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
