import type { TestContext } from 'node:test'

export interface Warning extends Error {
  readonly code: string
}

/** Collects the library's warnings from now on, until the test ends. What it resolves to tells of all so far. */
export async function collectWarnings(test: TestContext): Promise<() => Promise<Warning[]>> {
  const warnings: Warning[] = []
  // Node tells of a warning in the next tick: those of the test before, and later those of this one.
  await new Promise(setImmediate)
  const collect = (warning: Error): void =>
    void (warning.name === 'SessionWarning' && warnings.push(warning as Warning))
  process.on('warning', collect)
  test.after(() => process.off('warning', collect))
  return async () => {
    await new Promise(setImmediate)
    return warnings
  }
}
