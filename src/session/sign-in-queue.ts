/**
 * In this process, the sign-ins of one user with a limit take place one after the other. No promise rests on that: it
 * keeps the cost of many at once in proportion to their number, because each looks at the sessions of all others. It
 * holds up nobody for ever, because every operation of a store has a deadline.
 */
export class SignInQueue {
  readonly #last = new Map<string, Promise<void>>()

  /** Begins the work once all works before it have settled. */
  async run<Result>(subject: string, work: () => Promise<Result>): Promise<Result> {
    const before = this.#last.get(subject)
    const working = before ? before.then(work) : work()
    const settled = working.then(nothing, nothing)
    this.#last.set(subject, settled)
    try {
      return await working
    } finally {
      if (this.#last.get(subject) === settled) this.#last.delete(subject)
    }
  }
}

function nothing(): void {}
