import type { Writable } from 'node:stream'
import type { WriteStream } from 'node:tty'
import type { Milliseconds } from '../units.ts'

/** Work that is done sooner shows no bar. */
const SHOWN_AFTER: Milliseconds = 300
const EVERY: Milliseconds = 100
const WIDTH = 30
const TO_LINE_START_AND_CLEAR = '\r\u001B[2K'

/** Where something is written: a terminal, a pipe, a file, or what somebody collects in memory. */
export type Output = Writable & Partial<Pick<WriteStream, 'isTTY' | 'columns' | 'hasColors'>>

/** A bar on a terminal. It shows how much of the work is done or, if the amount of work is unknown, that it goes on. */
export class Progress {
  #label: string
  readonly #stream: Output
  readonly #startedAt = performance.now()
  #total: number | undefined
  #done = 0
  #steps = 0
  #isShown = false
  #timer: NodeJS.Timeout | undefined

  constructor(label: string, stream: Output) {
    this.#label = label
    this.#stream = stream
    if (!stream.isTTY) return
    this.#timer = setTimeout(() => {
      this.#draw()
      this.#timer = setInterval(() => this.#draw(), EVERY).unref()
    }, SHOWN_AFTER).unref()
  }

  /** Whether anybody sees the bar. If nobody does, the work need not be counted. */
  get isSeen(): boolean {
    return this.#timer !== undefined
  }

  /** One more piece of work is done. */
  step(): void {
    this.#done++
  }

  /** Begins the next part of the work, which has this many pieces. */
  next(label: string, total: number): void {
    this.#label = label
    this.#total = total
    this.#done = 0
    if (this.#isShown) this.#draw()
  }

  /** Removes the bar. */
  end(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#isShown) this.#stream.write(TO_LINE_START_AND_CLEAR)
    this.#isShown = false
  }

  #draw(): void {
    this.#isShown = true
    const line = this.#total === undefined ? this.#unmeasured() : this.#measured(this.#total)
    this.#stream.write(TO_LINE_START_AND_CLEAR + line.slice(0, (this.#stream.columns || 80) - 1))
  }

  #measured(total: number): string {
    // There may be more pieces than were counted.
    const part = total === 0 ? 1 : Math.min(1, this.#done / total)
    const filled = Math.round(part * WIDTH)
    return `${this.#label} [${'#'.repeat(filled)}${'.'.repeat(WIDTH - filled)}] ${Math.floor(part * 100)} % of ${total}`
  }

  #unmeasured(): string {
    const place = this.#steps++ % WIDTH
    const bar = `${'.'.repeat(place)}#${'.'.repeat(WIDTH - 1 - place)}`
    const seconds = Math.floor((performance.now() - this.#startedAt) / 1000)
    return `${this.#label} [${bar}] ${this.#done > 0 ? this.#done : `${seconds} s`}`
  }
}
