/** What one run of the suite came to, as Node's spec reporter tells it. */
export interface Outcome {
  readonly passed: number
  readonly failed: number
  /** The names of the tests that failed, each with its file. */
  readonly names: readonly string[]
}

const FAILURES = '✖ failing tests:'

/** Reads the summary that Node's spec reporter prints at the end. */
export function outcomeOf(output: string): Outcome {
  const count = (what: string): number => Number(new RegExp(`^ℹ ${what} (\\d+)$`, 'm').exec(output)?.[1] ?? 0)
  const [, failures = ''] = output.split(FAILURES)
  const names = [...failures.matchAll(/^test at (\S+?):\d+:\d+\n✖ (.*?)(?: \([\d.]+ms\))?$/gm)].map(
    ([, file = '', name = '']) => `${file.replace(/^.*dist\/test\//, '')}: ${name}`,
  )
  return { passed: count('pass'), failed: count('fail') + count('cancelled'), names }
}
