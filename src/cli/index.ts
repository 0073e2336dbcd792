#!/usr/bin/env node
import { constants } from 'node:os'
import { FAILED } from './command.ts'
import { main } from './main.ts'
import { Terminal } from './terminal.ts'

const stopping = new AbortController()
const terminal = new Terminal(process, () => stopping.abort())
terminal.takeOverProcess()

let interrupted: number | undefined
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  // Once, because anyone who asks a second time does not want to wait for what is under way.
  process.once(signal, () => {
    interrupted = 128 + constants.signals[signal]
    stopping.abort()
  })
}

const code = await main(process.argv.slice(2), process.env, terminal, stopping.signal)
process.exitCode = terminal.failure ? FAILED : (interrupted ?? code)
