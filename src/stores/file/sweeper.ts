import type { Key, Milliseconds } from '../../units.ts'
import { inspectRoot, located } from './root.ts'
import { liveKeys, prune, type Walk } from './sweep.ts'

/** The walks through all sessions of one store, and what is told of what they had to leave. */
export class Sweeper {
  readonly #root: string
  readonly #grace: Milliseconds
  readonly #onError: (error: unknown) => void
  readonly #closing = new AbortController()
  /** What was told last, so that the same trouble is not told every quarter of an hour. */
  #told: string | undefined

  constructor(root: string, grace: Milliseconds, onError: (error: unknown) => void) {
    this.#root = root
    this.#grace = grace
    this.#onError = onError
  }

  /** Removes what has expired; resolves to the number of sessions. */
  async prune(): Promise<number> {
    try {
      inspectRoot(this.#root)
      const walk = this.#walk()
      const removed = await prune(walk, this.#grace, this.#closing.signal)
      walk.end()
      return removed
    } catch (error) {
      throw located(error, this.#root)
    }
  }

  /** The keys of all live sessions. */
  async *keys(): AsyncGenerator<Key> {
    try {
      inspectRoot(this.#root)
      const walk = this.#walk()
      yield* liveKeys(walk)
      walk.end()
    } catch (error) {
      throw located(error, this.#root)
    }
  }

  /** Tells of an error, unless it was told last. */
  readonly report = (error: unknown): void => {
    const message = String((error as Error | undefined)?.message)
    if (message === this.#told) return
    this.#told = message
    this.#onError(error)
  }

  stop(): void {
    this.#closing.abort()
  }

  #walk(): Walk & { end(): void } {
    let first: unknown
    let skipped = 0
    return {
      root: this.#root,
      skip: (error) => {
        first ??= located(error, this.#root)
        skipped++
      },
      end: () => {
        if (skipped === 0) this.#told = undefined
        else this.report(leftOut(skipped, first as Error))
      },
    }
  }
}

function leftOut(skipped: number, first: Error): Error {
  const what = skipped === 1 ? 'One directory was' : `${skipped} directories were`
  return new Error(`${what} left out, because of errors such as "${first.message}".`, { cause: first })
}
