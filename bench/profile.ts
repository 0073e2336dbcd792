import { Session, type Profiler } from 'node:inspector/promises'

/** A file or a module, and its part of the time: 0 to 1. */
export interface Part {
  readonly name: string
  readonly share: number
}

/** Microseconds between two looks. */
const INTERVAL = 200

/**
 * Where the processor is while this runs, by V8's sampling profiler: files of this library one by one, the rest by
 * module. What the compiler inlined counts for the file that it was written in, as far as V8 keeps account of it.
 */
export async function partsOf(run: () => Promise<void>): Promise<Part[]> {
  const inspector = new Session()
  inspector.connect()
  await inspector.post('Profiler.enable')
  await inspector.post('Profiler.setSamplingInterval', { interval: INTERVAL })
  await inspector.post('Profiler.start')
  await run()
  const { profile } = await inspector.post('Profiler.stop')
  inspector.disconnect()
  return sharesOf(profile)
}

function sharesOf({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): Part[] {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]))
  const times = new Map<string, number>()
  let all = 0
  for (const [index, node] of samples.entries()) {
    const name = names.get(node)
    const time = timeDeltas[index] ?? 0
    if (name === undefined || time < 0) continue
    times.set(name, (times.get(name) ?? 0) + time)
    all += time
  }
  return [...times]
    .map(([name, time]) => ({ name, share: Number((time / all).toFixed(4)) }))
    .toSorted((a, b) => b.share - a.share)
}

/** `undefined` for time in which nothing ran. */
function nameOf({ url, functionName }: Profiler.ProfileNode['callFrame']): string | undefined {
  if (functionName === '(garbage collector)') return 'V8: garbage collection'
  if (functionName === '(idle)') return undefined
  const own = /\/dist\/src\/(.+)\.js$/.exec(url)?.[1]
  if (own !== undefined) return `koa-server-session: ${own}`
  const [, module] = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url) ?? []
  if (module !== undefined) return DEPENDENCIES.has(module) ? module : 'Koa and its modules'
  if (url.includes('/dist/bench/')) return 'the benchmark itself'
  if (!url.startsWith('node:')) return 'V8 and native code'
  if (/async_(?:hooks|local|context)/.test(url)) return 'Node: AsyncLocalStorage'
  if (url.includes('http')) return 'Node: http'
  return url.includes('stream') ? 'Node: streams' : 'Node: other modules'
}

const DEPENDENCIES: ReadonlySet<string> = new Set(['lru-cache', 'keygrip'])
