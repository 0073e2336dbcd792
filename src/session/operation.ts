import type { Diagnostics } from '../diagnostics.ts'

/**
 * What a member of a session promises: to save, to update, to regenerate, to end. A handler may forget to await it. Then
 * its failure must not end the process as an unhandled rejection; whoever waits for the end of the request learns of it
 * instead.
 */
export class Operation<Result> extends Promise<Result> {
  /** Whether anybody waits for the outcome, and so learns of a failure. */
  isAwaited = false
  isFulfilled = false

  static override get [Symbol.species](): PromiseConstructor {
    return Promise
  }

  /** Begins the work. A failure of the work itself, thrown or rejected, is the operation's. */
  static begin<Result>(work: () => Promise<Result>): Operation<Result> {
    const operation = new Operation<Result>((resolve, reject) => {
      work().then(resolve, reject)
    })
    const fulfilled = (): void => {
      operation.isFulfilled = true
    }
    void Promise.prototype.then.call(operation, fulfilled, () => {})
    return operation
  }

  // `await`, `catch`, `finally` and the combinators of Promise all come by here.
  // oxlint-disable-next-line unicorn/no-thenable
  override then<Fulfilled = Result, Rejected = never>(
    onFulfilled?: ((value: Result) => Fulfilled | PromiseLike<Fulfilled>) | null,
    onRejected?: ((reason: unknown) => Rejected | PromiseLike<Rejected>) | null,
  ): Promise<Fulfilled | Rejected> {
    this.isAwaited = true
    return super.then(onFulfilled, onRejected)
  }
}

/** Reports the failure of an operation for which nobody waits, once it has settled. */
export function reportForgotten(operation: Operation<unknown>, diagnostics: Diagnostics): void {
  void Promise.prototype.then.call(operation, undefined, (error: unknown) => {
    if (!operation.isAwaited) diagnostics.report('error', { reason: 'not awaited', error })
  })
}

/** So many may have succeeded before they are forgotten. */
const FEW = 8

/** The operations that one request has begun. */
export class Operations {
  #begun: Operation<unknown>[] = []

  /** Whether one is under way or has failed. To wait for what a handler has awaited would cost more than to look. */
  get areLeft(): boolean {
    return this.#begun.some(isLeft)
  }

  add(operation: Operation<unknown>): void {
    // A request may last as long as a stream does, and update its session all the time.
    if (this.#begun.length >= FEW) this.#begun = this.#begun.filter(isLeft)
    this.#begun.push(operation)
  }

  /** Waits until all have settled, those too that are begun meanwhile. Rejects with the first failure that nobody awaited. */
  async settle(): Promise<void> {
    let failure: { readonly error: unknown } | undefined
    for (let operation = this.#begun.shift(); operation; operation = this.#begun.shift()) {
      const { isAwaited } = operation
      try {
        await operation
      } catch (error) {
        if (!isAwaited) failure ??= { error }
      }
    }
    if (failure) throw failure.error
  }
}

function isLeft({ isFulfilled }: Operation<unknown>): boolean {
  return !isFulfilled
}
