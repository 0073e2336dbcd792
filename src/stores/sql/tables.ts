import { SessionError } from '../../errors.ts'
import { isPromise, settle, type Awaitable } from '../../units.ts'
import type { Database, Row } from './database.ts'
import { SCHEMA_VERSION } from './schema.ts'

/**
 * The store's tables: looked at before the first use, and again after every failure, because a failure may mean that
 * they are gone or are others. Reading makes no tables: where there are none, there are no sessions.
 */
export class Tables {
  readonly #database: Database
  readonly #name: string
  #areThere = false
  #look: Promise<boolean> | undefined

  constructor(database: Database, name: string) {
    this.#database = database
    this.#name = name
  }

  /** Runs the step if there are tables; otherwise its answer is `absent`. */
  read<Answer>(step: () => Awaitable<Answer>, absent: Answer): Awaitable<Answer> {
    if (this.#areThere) return this.#run(step)
    return settle(
      () => this.#lookOnce(),
      (areThere) => (areThere ? this.#run(step) : absent),
    )
  }

  /** Runs the step, on tables that are made if there are none. */
  write<Answer>(step: () => Awaitable<Answer>): Awaitable<Answer> {
    if (this.#areThere) return this.#run(step)
    return settle(
      () => this.make(),
      () => this.#run(step),
    )
  }

  /** Makes the tables unless they are there; whether it did. */
  make(): Awaitable<boolean> {
    return settle(
      () => this.#lookOnce(),
      (areThere) =>
        areThere
          ? false
          : settle(
              () => this.#database.make(),
              () =>
                settle(
                  () => this.#lookNow(),
                  () => true,
                ),
            ),
    )
  }

  #run<Answer>(step: () => Awaitable<Answer>): Awaitable<Answer> {
    return settle(step, same, (error) => {
      this.#areThere = false
      throw error
    })
  }

  /** Many requests may come before the first look has its answer. */
  #lookOnce(): Awaitable<boolean> {
    if (this.#look) return this.#look
    const look = this.#lookNow()
    if (!isPromise(look)) return look
    this.#look = look.finally(() => (this.#look = undefined))
    return this.#look
  }

  #lookNow(): Awaitable<boolean> {
    return settle(
      () => this.#database.look(),
      ([row]) => {
        if (row) this.#check(row)
        this.#areThere = row !== undefined
        return this.#areThere
      },
    )
  }

  #check({ version }: Row): void {
    const there = Number(version)
    if (there === SCHEMA_VERSION) return
    const cure =
      there > SCHEMA_VERSION
        ? 'a newer release of koa-server-session made them; update this application’s'
        : 'run: koa-server-session migrate'
    throw new SessionError(
      'ERR_SESSION_STORE_UNAVAILABLE',
      `the tables ${this.#name} are of version ${there}, and this release uses version ${SCHEMA_VERSION}: ${cure}`,
    )
  }
}

function same<Answer>(answer: Answer): Answer {
  return answer
}
