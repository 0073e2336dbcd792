import type { Milliseconds } from 'koa-server-session'

/** How many requests race. */
export const RACERS = 50
interface Meeting {
  present: number
  readonly opened: Promise<void>
  open(): void
}

/**
 * Where requests that race wait for each other, each with its session at hand, so that all of them write at the same
 * moment.
 */
export class Gathering {
  readonly #patience: Milliseconds
  readonly #meetings = new Map<string, Meeting>()

  /** `patience`: how long the first one waits for the others. Some may have gone to another process of the site. */
  constructor(patience: Milliseconds) {
    this.#patience = patience
  }

  /** Resolves when all are there. `race`: which one it is. */
  arrive(race: string): Promise<void> {
    const meeting = this.#meetings.get(race) ?? this.#call(race)
    if (++meeting.present === RACERS) meeting.open()
    return meeting.opened
  }

  #call(race: string): Meeting {
    let resolve!: () => void
    const opened = new Promise<void>((done) => (resolve = done))
    const open = (): void => {
      clearTimeout(patience)
      this.#meetings.delete(race)
      resolve()
    }
    const patience = setTimeout(open, this.#patience)
    const meeting: Meeting = { present: 0, opened, open }
    this.#meetings.set(race, meeting)
    return meeting
  }
}
