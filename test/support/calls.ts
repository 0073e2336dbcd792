import { Session, type Profiler } from 'node:inspector'

/** How many calls of functions a piece of work makes. */
export type CallsOf = (work: () => void) => number

/**
 * Lends what counts calls, among those of the files whose address contains `folder`. It measures work by what is done and
 * not by a clock, so it is the same on a busy machine. V8 takes long to begin to count, so one `use` counts many times.
 */
export function countingCalls(folder: string, use: (callsOf: CallsOf) => void): void {
  const session = new Session()
  session.connect()
  try {
    // Every command of the profiler answers at once.
    session.post('Profiler.enable')
    session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false })
    use((work) => {
      takeCalls(session, folder)
      work()
      return takeCalls(session, folder)
    })
  } finally {
    session.disconnect()
  }
}

/** The calls since it was asked before. */
function takeCalls(session: Session, folder: string): number {
  let calls = 0
  session.post('Profiler.takePreciseCoverage', (error, { result }: Profiler.TakePreciseCoverageReturnType) => {
    if (error) throw error
    for (const { url, functions } of result)
      if (url.includes(folder)) for (const { ranges } of functions) calls += ranges[0]?.count ?? 0
  })
  return calls
}
