import { parseCommandLine } from './arguments.ts'
import { DONE, FAILED, WRONG_USAGE, type Call, type ExitCode } from './command.ts'
import { COMMANDS } from './commands/index.ts'
import { helpOn, overview } from './help.ts'
import { openStore, type OpenStore } from './store.ts'
import type { Terminal } from './terminal.ts'
import { isSessionError } from '../errors.ts'
import { VERSION } from '../session/copies.ts'

/**
 * One call of the command `koa-server-session`: arguments in, exit code out. When `stopping` is aborted, the command ends
 * as soon as it can.
 */
export async function main(
  args: string[],
  environment: NodeJS.ProcessEnv,
  terminal: Terminal,
  stopping: AbortSignal,
): Promise<ExitCode> {
  const stores = new Map<string | undefined, OpenStore>()
  let code: ExitCode
  try {
    const { command, values, operands } = parseCommandLine(args, COMMANDS)
    if (values.version) {
      await terminal.line(VERSION)
      code = DONE
    } else if (values.help || !command) {
      const text = command ? helpOn(command.name, command.definition) : overview(COMMANDS)
      if (values.help) for (const line of text.split('\n')) await terminal.line(line)
      else terminal.say(...text.split('\n'))
      code = values.help ? DONE : WRONG_USAGE
    } else {
      const call: Call = {
        values,
        operands,
        terminal,
        signal: stopping,
        openStore(how = {}) {
          const store = stores.get(how.url) ?? openStore(values, environment, how)
          stores.set(how.url, store)
          return store
        },
      }
      code = await command.definition.run(call)
    }
  } catch (error) {
    // Work that was stopped has not failed.
    if (!stopping.aborted) terminal.say(...sentencesOf(error, stores.get(undefined)?.name))
    code = isSessionError(error, 'ERR_SESSION_OPTION') ? WRONG_USAGE : FAILED
  }
  await terminal.finish()
  await Promise.all([...stores.values()].map((store) => store.close()))
  if (terminal.failure) {
    terminal.say(...sentencesOf(terminal.failure))
    return FAILED
  }
  // Anyone who stops reading has seen enough.
  return terminal.isCutOff ? DONE : code
}

/** The sentence of an error and those of its causes, each on a line of its own. `where`: the store, if one was opened. */
function sentencesOf(error: unknown, where?: string): string[] {
  const sentences = where === undefined ? [] : [`${where} failed.`]
  for (let inner = error; inner instanceof Error; inner = inner.cause) {
    const sentence = inner.message.replace(/^koa-server-session: /, '').replace(/ See `cause`\.$/, '')
    if (sentence !== '' && !sentences.includes(sentence)) sentences.push(sentence)
  }
  const [first = String(error), ...more] = sentences
  return [`koa-server-session: ${first}`, ...more.map((sentence) => `  ${sentence}`)]
}
