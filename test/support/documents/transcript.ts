import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { freePort, isOpen, until } from '../servers/server-process.ts'
import { commandOf, type Requirement } from '../servers/requirement.ts'
import type { Block } from './pages.ts'

/** What the transcripts call that not every system has. */
export const requires: Requirement = { commands: ['curl'], debianPackage: 'curl' }

/** A command of a transcript, and the lines that it shows beneath. */
interface Step {
  readonly command: string
  readonly shown: string
}

/** The ports that pages use, each of which is another one while the page is tested. */
const PORTS = /\b(?:300\d|6379|11211)\b/g
const LOG = 'background.log'
const END = '--- end of the command, status '
const WRITTEN_WITHIN = 20_000
/**
 * What a program writes into a file comes in its own time, and so does what another process has written if the page says
 * "within a second". To look once more changes nothing.
 */
const COMES_IN_TIME = /^cat |# within a second$/

/** The ports of one page's programs: free ones for those it names. */
export class Ports {
  readonly #actual = new Map<string, string>()

  /** For every port that one of these texts names. */
  async choose(texts: readonly string[]): Promise<void> {
    for (const port of new Set(texts.flatMap((text) => text.match(PORTS) ?? [])))
      this.#actual.set(port, String(await freePort()))
  }

  get(port: string): number | undefined {
    return this.#actual.has(port) ? Number(this.#actual.get(port)) : undefined
  }

  toActual(text: string): string {
    return text.replace(PORTS, (port) => this.#actual.get(port) ?? port)
  }

  toShown(text: string): string {
    return [...this.#actual].reduce(
      (shown, [port, actual]) => shown.replaceAll(new RegExp(String.raw`\b${actual}\b`, 'g'), port),
      text,
    )
  }
}

/**
 * A shell in which the transcripts of one page are played, one after the other: with `$ `, a command; beneath it, what
 * it prints. Commands that end with `&` stay until the page ends, and what they print is in a log.
 *
 * Three commands are not what they seem: `npm` only checks that the packages and scripts that it names exist, `npx` runs
 * this package's own command or one of a package that is installed here, and `node` runs what a file in TypeScript was
 * compiled to. $CHROMIUM is the browser of this machine, for a page that names it.
 */
export class Shell {
  readonly #process: ChildProcess
  readonly #lines: AsyncIterator<string>
  readonly #directory: string
  readonly #root: string
  readonly #ports: Ports

  constructor(root: string, directory: string, ports: Ports, environment: Readonly<Record<string, string>> = {}) {
    this.#root = root
    this.#directory = directory
    this.#ports = ports
    this.#process = spawn('bash', ['--noprofile', '--norc'], {
      cwd: directory,
      env: { PATH: process.env['PATH'], HOME: directory, NO_COLOR: '1', ...environment },
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.#lines = createInterface({ input: this.#process.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]()
    this.#process.stdin?.write(`
      trap 'kill $(jobs -p) 2>/dev/null' EXIT
      exec 2>&1
      curl() { ${commandOf(requires)} -sS "$@"; }
      redis-cli() { command redis-cli -p ${ports.get('6379') ?? 6379} "$@"; }
      npx() {
        local name=$1; shift
        if [ "$name" = koa-server-session ]; then command node ${root}/dist/src/cli/index.js "$@"
        else
          # Nothing of a page needs the machine to be quick.
          case "$name" in jest|vitest) set -- "$@" --testTimeout=600000;; esac
          ${root}/node_modules/.bin/"$name" "$@"
        fi
      }
    `)
  }

  /**
   * Plays a `console` block and gives it back as it went, with the block's own words where they fit: equal to the block
   * if all of them do. Of an `sh` block every command must succeed.
   */
  async play(block: Block): Promise<string> {
    if (block.language === 'sh') {
      for (const command of block.code.split('\n').filter((line) => line !== '' && !line.startsWith('#'))) {
        const { status, output } = await this.#run(command)
        assert.equal(status, 0, `${block.place}: ${command}\n${output}`)
      }
      return block.code
    }
    let played = ''
    for (const { command, shown } of stepsOf(block)) {
      let printed = ''
      const isAsShown = async (): Promise<boolean> => {
        const { output } = await this.#run(command)
        printed = this.#ports.toShown(output).replaceAll('\r', '').replace(UNSAID, '')
        return matches(normal(printed), normal(shown))
      }
      const isRight = COMES_IN_TIME.test(command) ? await isTrueWithin(WRITTEN_WITHIN, isAsShown) : await isAsShown()
      played += `$ ${command}\n${isRight ? shown : `${withoutMargin(printed)}\n`}`
    }
    return played
  }

  async close(): Promise<void> {
    this.#process.stdin?.end()
    if (this.#process.exitCode === null) await once(this.#process, 'exit')
  }

  async #run(shownCommand: string): Promise<{ status: number; output: string }> {
    if (/^(?:npm [^|&]+(?:&& )?)+$/.test(shownCommand)) return this.#checkNpm(shownCommand)
    let command = this.#ports.toActual(shownCommand).replace(/(?<=\bnode [^|]*)\.ts\b/g, '.js')
    const isBackground = /&( *#.*)?$/.test(command)
    if (isBackground) command = `>>${LOG} 2>&1 ${command}`
    else await this.#serverOf(command)
    // The port must be free again for whoever comes next.
    const waiting = /^kill (?:-\w+ )?(%\d+)/.exec(command)?.[1]
    if (waiting) command += `; wait ${waiting}`
    this.#process.stdin?.write(`{ ${command}\n}; printf '\\n%s%s\\n' '${END}' $?\n`)
    const output: string[] = []
    for (;;) {
      const { value: line, done } = await this.#lines.next()
      if (done) throw new Error(`The shell ended with: ${shownCommand}`)
      if (line.startsWith(END)) return { status: Number(line.slice(END.length)), output: output.join('\n') }
      output.push(line)
    }
  }

  /** Waits until the server that the command asks is there. */
  async #serverOf(command: string): Promise<void> {
    const port = /(?:127\.0\.0\.1|localhost):(\d+)/.exec(command)?.[1]
    if (port === undefined) return
    const log = join(this.#directory, LOG)
    await until(() => isOpen(Number(port))).catch((cause: unknown) => {
      throw new Error(`No server at port ${port}.\n${existsSync(log) ? readFileSync(log, 'utf8') : ''}`, { cause })
    })
  }

  #checkNpm(commands: string): { status: number; output: string } {
    const { name, scripts } = JSON.parse(readFileSync(join(this.#root, 'package.json'), 'utf8')) as {
      name: string
      scripts: Record<string, string>
    }
    for (const command of commands.replace(/#.*/, '').split('&&')) {
      const [, verb = '', ...words] = command.trim().split(/\s+/)
      if (verb === 'install' || verb === 'i') {
        for (const word of words.filter((option) => !option.startsWith('-'))) {
          const there = word === name || existsSync(join(this.#root, 'node_modules', word, 'package.json'))
          assert.ok(there, `${command}: the tests know no package ${word}`)
        }
      } else if (!['ci', 'init', 'pkg'].includes(verb)) {
        const script = verb === 'run' ? (words[0] ?? '') : verb
        assert.ok(script in scripts, `${command}: package.json has no script ${script}`)
      }
    }
    return { status: 0, output: '' }
  }
}

function isTrueWithin(limit: number, condition: () => Promise<boolean>): Promise<boolean> {
  return until(condition, limit).then(
    () => true,
    () => false,
  )
}

function stepsOf({ code, place }: Block): Step[] {
  const [before, ...steps] = `\n${code}`.split(/\n\$ /)
  assert.equal(before?.trim(), '', `${place} begins with what no command prints`)
  return steps.map((step) => {
    const [command = '', ...shown] = step.replace(/\n$/, '').split('\n')
    return { command, shown: shown.map((line) => `${line}\n`).join('') }
  })
}

/** Headers of every answer, which no page shows. */
const UNSAID = /^(?:Date|Connection|Keep-Alive): .*\n/gm

/** What is another at every run. */
const CHANGING: readonly [RegExp, string][] = [
  [/[\w-]{43}\.[\w-]{43}/g, '(cookie)'],
  [/\b[0-9a-f]{64}\b/g, '(id)'],
  [/\b1\d{15}\b/g, '(version)'],
  [/\b1\d{12}\b/g, '(instant)'],
  [/Max-Age=[1-9]\d*/g, 'Max-Age=(seconds)'],
  [/\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT/g, '(date)'],
]

function normal(text: string): string {
  return CHANGING.reduce((result, [pattern, word]) => result.replace(pattern, word), withoutMargin(text))
}

/** Without the empty lines at both ends. */
function withoutMargin(text: string): string {
  return text.replace(/^\n+|\s+$/g, '')
}

/** `…` stands for anything: alone on a line for any number of lines, within a line for a part of it. */
function matches(printed: string, shown: string): boolean {
  const pattern = shown
    .split('\n')
    .map((line) => (line === '…' ? '(?:.*\\n)*?' : `${line.split('…').map(escaped).join('.*?')}\\n`))
    .join('')
  return new RegExp(`^${pattern}$`).test(`${printed}\n`)
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
}
