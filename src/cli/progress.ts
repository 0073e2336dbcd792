import type { WriteStream } from 'node:tty'
import type { Milliseconds } from '../units.ts'

/** Quick work needs no bar. */
const SHOWN_AFTER: Milliseconds = 300
const EVERY: Milliseconds = 100
const WIDTH = 30
const TO_LINE_START_AND_CLEAR = '\r\u001B[2K'

/** A bar on a terminal: how much of the whole is done, or just that it goes on where the whole is not known. */
export class Progress {
  #label: string
  readonly #stream: WriteStream
  readonly #startedAt = performance.now()
  #total: number | undefined
  #done = 0
  #steps = 0
  #isShown = false
  #timer: NodeJS.Timeout | undefined

  constructor(label: string, stream: WriteStream) {
    this.#label = label
    this.#stream = stream
    if (!stream.isTTY) return
    this.#timer = setTimeout(() => {
      this.#draw()
      this.#timer = setInterval(() => this.#draw(), EVERY).unref()
    }, SHOWN_AFTER).unref()
  }

  /** Whether anybody sees it; if not, nothing should be counted for its sake. */
  get isSeen(): boolean {
    return this.#timer !== undefined
  }

  /** One more is done. */
  step(): void {
    this.#done++
  }

  /** From here on it is about this, of which there are so many. */
  next(label: string, total: number): void {
    this.#label = label
    this.#total = total
    this.#done = 0
    if (this.#isShown) this.#draw()
  }

  /** Takes the bar away. */
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
    // More may have come since they were counted.
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
