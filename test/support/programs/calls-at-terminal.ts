// Calls the command `koa-server-session` with each of these lists of arguments, one after the other, as src/cli/index.ts
// does once. Each call is followed by its exit code between two separators of units (U+001F).
//
// node dist/test/support/programs/calls-at-terminal.js <lists of arguments as JSON>

import { main } from '../../../src/cli/main.ts'
import { Terminal } from '../../../src/cli/terminal.ts'

const stopping = new AbortController()
const terminal = new Terminal(process, () => stopping.abort())
terminal.takeOverProcess()

for (const args of JSON.parse(process.argv[2] as string) as string[][]) {
  const code = await main(args, process.env, terminal, stopping.signal)
  process.stdout.write(`\u001F${code}\u001F`)
}
