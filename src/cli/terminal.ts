import { once } from 'node:events'
import { createInterface } from 'node:readline/promises'
import type { Readable } from 'node:stream'
import { format, styleText } from 'node:util'
import { harmless, harmlessJson } from './harmless.ts'
import { Progress, type Output } from './progress.ts'

/** Lines are written together, so that 300 000 lines are not as many calls of the system. */
const BLOCK = 16_384

/** A part of a line that stands out on a terminal. */
export interface Painted {
  readonly style: 'bold' | 'dim'
  readonly text: string
}

/** The standard streams of the command's process, or what stands for them. */
export interface Streams {
  readonly stdin: Readable & { readonly isTTY?: boolean }
  readonly stdout: Output
  readonly stderr: Output
}

/**
 * Where a command speaks: results go to the standard output, everything else to the standard error. Whatever is printed
 * comes through here, warnings and what drivers print included, and characters that would steer the terminal are spelled
 * out, wherever the text came from.
 */
export class Terminal {
  readonly #streams: Streams
  #pending = ''
  #isCutOff = false
  #failure: Error | undefined
  #progress: Progress | undefined
  /** Resolves when the system has taken what was written; absent if there is nothing to wait for. */
  #room: Promise<void> | undefined

  /** `onCutOff` is called when nobody reads the output any more, as after `| head`. */
  constructor(streams: Streams, onCutOff: () => void) {
    this.#streams = streams
    streams.stdout.on('error', (error: NodeJS.ErrnoException) => {
      this.#cutOff(error)
      onCutOff()
    })
    // There is nobody to tell.
    streams.stderr.on('error', () => {})
  }

  /** Takes what is printed by others in this process: drivers, which quote their server, and Node's warnings. */
  takeOverProcess(): void {
    // Between the results it would break what programs read.
    for (const method of ['debug', 'error', 'info', 'log', 'warn'] as const) {
      console[method] = (...words: unknown[]) => this.say(...format(...words).split('\n'))
    }
    process.removeAllListeners('warning').on('warning', ({ name, message }) => {
      // Of Node, because a driver uses something that is new there. Whoever runs a command can do nothing about it.
      if (name !== 'ExperimentalWarning') this.say(`${name}: ${message}`)
    })
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
    return this.#streams.stdout.isTTY === true && this.#streams.stdout.hasColors?.() === true
  }

  /** Whether a person can be asked. */
  get isInteractive(): boolean {
    return this.#streams.stdin.isTTY === true && this.#streams.stderr.isTTY === true
  }

  /** One line of the results. Resolves when there is room for more. */
  line(...parts: (string | Painted)[]): Promise<void> {
    return this.#print(parts.map((part) => (typeof part === 'string' ? harmless(part) : this.#paint(part))).join(''))
  }

  /** A document for programs, on one line. */
  json(document: unknown): Promise<void> {
    return this.jsonText(JSON.stringify(document))
  }

  /** A document that is JSON already. */
  jsonText(text: string): Promise<void> {
    return this.#print(harmlessJson(text))
  }

  #paint({ style, text }: Painted): string {
    return this.isColored ? styleText(style, harmless(text)) : harmless(text)
  }

  async #print(line: string): Promise<void> {
    this.#pending += `${line}\n`
    if (this.#pending.length < BLOCK && !this.#streams.stdout.isTTY) return
    if (!this.#flush()) this.#room ??= this.#untilThereIsRoom()
    await this.#room
  }

  /** Tells the person at the terminal something beside the results, in one or more lines. */
  say(...lines: string[]): void {
    this.#progress?.end()
    this.#streams.stderr.write(lines.map((line) => `${harmless(line)}\n`).join(''))
  }

  /** A bar for work that may take long. It shows on a terminal only. */
  progress(label: string): Progress {
    this.#progress?.end()
    this.#progress = new Progress(label, this.#streams.stderr)
    return this.#progress
  }

  /** Whether the person says yes. */
  async ask(question: string, signal: AbortSignal): Promise<boolean> {
    this.#progress?.end()
    const lines = createInterface({ input: this.#streams.stdin, output: this.#streams.stderr })
    try {
      // Without this, Ctrl-C would be a line's end to the reader, and no signal to the process.
      lines.on('SIGINT', () => process.kill(process.pid, 'SIGINT'))
      const ended = once(lines, 'close').then(() => '')
      const answer = await Promise.race([lines.question(`${harmless(question)} [y/N] `, { signal }), ended])
      return /^y(?:es)?$/i.test(answer.trim())
    } finally {
      lines.close()
    }
  }

  /** Resolves when everything is written, or cannot be written. */
  async finish(): Promise<void> {
    this.#progress?.end()
    const text = this.#pending
    this.#pending = ''
    if (this.#isCutOff) return
    const error = await new Promise<Error | null | undefined>((resolve) => this.#streams.stdout.write(text, resolve))
    if (error) this.#cutOff(error)
  }

  #flush(): boolean {
    const text = this.#pending
    this.#pending = ''
    return this.#isCutOff || this.#streams.stdout.write(text)
  }

  async #untilThereIsRoom(): Promise<void> {
    const taken = new AbortController()
    const { signal } = taken
    // After an error there is no drain any more. The listener of the error has seen to it.
    await Promise.race([
      once(this.#streams.stdout, 'drain', { signal }),
      once(this.#streams.stdout, 'close', { signal }),
    ]).catch(() => {})
    taken.abort()
    this.#room = undefined
  }

  #cutOff(error: NodeJS.ErrnoException): void {
    this.#isCutOff = true
    if (error.code !== 'EPIPE') this.#failure = error
  }
}
