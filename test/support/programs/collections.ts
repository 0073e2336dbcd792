import { GCProfiler } from 'node:v8'

/** How often garbage was collected: among young objects only, or in any other way. */
export interface Collections {
  readonly young: number
  readonly others: number
}

/**
 * Counts collections from now on, until the result is called. A PerformanceObserver hears of them some time later, and
 * on a busy machine too late.
 */
export function countCollections(): () => Collections {
  const profiler = new GCProfiler()
  profiler.start()
  return () => {
    const { statistics } = profiler.stop()
    const young = statistics.filter(({ gcType }) => gcType === 'Scavenge' || gcType.startsWith('Minor')).length
    return { young, others: statistics.length - young }
  }
}
