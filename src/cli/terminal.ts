import { once } from 'node:events'
import { createInterface } from 'node:readline/promises'
import { styleText } from 'node:util'
import { Progress } from './progress.ts'

/** Written together, so that 300 000 lines are not as many calls of the system. */
const BLOCK = 16_384

/** Where a command speaks: results to the standard output, all else to the standard error. */
export class Terminal {
  #pending = ''
  #isCutOff = false
  #failure: Error | undefined
  #progress: Progress | undefined
  /** Resolves when what was written has been taken; absent if it has. */
  #room: Promise<void> | undefined

  /** `onCutOff`: nobody reads the output any more, as after `| head`. */
  constructor(onCutOff: () => void) {
    process.stdout.on('error', (error: NodeJS.ErrnoException) => {
      this.#cutOff(error)
      onCutOff()
    })
    // Nobody to tell.
    process.stderr.on('error', () => {})
  }

  get isCutOff(): boolean {
    return this.#isCutOff
  }

  /** Why the results could not be written, if it is not that nobody wants to read them. */
  get failure(): Error | undefined {
    return this.#failure
  }

  /** Whether a person reads the results. */
  get isColored(): boolean {
    return process.stdout.isTTY && process.stdout.hasColors()
  }

  /** Whether a person can be asked. */
  get isInteractive(): boolean {
    return process.stdin.isTTY && process.stderr.isTTY
  }

  paint(style: 'bold' | 'dim', text: string): string {
    return this.isColored ? styleText(style, text) : text
  }

  /** One line of the results; resolves when there is room for more. */
  async line(text: string): Promise<void> {
    this.#pending += `${text}\n`
    if (this.#pending.length < BLOCK && !process.stdout.isTTY) return
    if (!this.#flush()) this.#room ??= this.#untilThereIsRoom()
    await this.#room
  }

  /** A document for programs, on one line. */
  async json(document: unknown): Promise<void> {
    await this.line(harmlessJson(JSON.stringify(document)))
  }

  /** For the person at the terminal, beside the results. */
  say(text: string): void {
    this.#progress?.end()
    process.stderr.write(`${text}\n`)
  }

  /** A bar for work that may take long. Shows on a terminal, and nowhere else. */
  progress(label: string): Progress {
    this.#progress?.end()
    this.#progress = new Progress(label, process.stderr)
    return this.#progress
  }

  /** Whether the person says yes. */
  async ask(question: string, signal: AbortSignal): Promise<boolean> {
    this.#progress?.end()
    const lines = createInterface({ input: process.stdin, output: process.stderr })
    try {
      // Without this, Ctrl-C would be a line's end to the reader, and no signal to the process.
      lines.on('SIGINT', () => process.kill(process.pid, 'SIGINT'))
      const ended = once(lines, 'close').then(() => '')
      const answer = await Promise.race([lines.question(`${question} [y/N] `, { signal }), ended])
      return /^y(?:es)?$/i.test(answer.trim())
    } finally {
      lines.close()
    }
  }

  /** Resolves when all is written, or cannot be. */
  async finish(): Promise<void> {
    this.#progress?.end()
    const text = this.#pending
    this.#pending = ''
    if (this.#isCutOff) return
    const error = await new Promise<Error | null | undefined>((resolve) => process.stdout.write(text, resolve))
    if (error) this.#cutOff(error)
  }

  #flush(): boolean {
    const text = this.#pending
    this.#pending = ''
    return this.#isCutOff || process.stdout.write(text)
  }

  async #untilThereIsRoom(): Promise<void> {
    const taken = new AbortController()
    const { signal } = taken
    // After an error there is no drain any more; it has been seen to where the error is heard.
    await Promise.race([once(process.stdout, 'drain', { signal }), once(process.stdout, 'close', { signal })]).catch(
      () => {},
    )
    taken.abort()
    this.#room = undefined
  }

  #cutOff(error: NodeJS.ErrnoException): void {
    this.#isCutOff = true
    if (error.code !== 'EPIPE') this.#failure = error
  }
}

/** Text of strangers, such as a browser's name, without what would steer the terminal or hide what is there. */
export function harmless(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => {
    return `\\u{${(character.codePointAt(0) as number).toString(16)}}`
  })
}

/** JSON escapes some of that itself; the rest is escaped as JSON allows, so that the meaning is the same. */
export function harmlessJson(json: string): string {
  return json.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (characters) =>
    characters.replace(/[^]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`),
  )
}
