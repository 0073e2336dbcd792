/** The test site, in a process that prints all that the library lets anybody know. */
import { subscribe } from 'node:diagnostics_channel'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import type { SessionOptions } from '../../../src/index.ts'
import { LASTING } from '../sites/http.ts'
import { testSite } from '../sites/test-site.ts'

const UNTIMED = ['conflict', 'invalidate', 'stale', 'error', 'suspicious']
const TIMED = ['load', 'save', 'touch', 'destroy', 'regenerate']
const EVENTS = ['start', 'end', 'asyncStart', 'asyncEnd', 'error']

const channels = [
  ...UNTIMED.map((name) => `koa-server-session:${name}`),
  ...TIMED.flatMap((name) => EVENTS.map((event) => `tracing:koa-server-session:${name}:${event}`)),
]
for (const name of channels) subscribe(name, (message) => print(name, message))
process.on('warning', (warning) => print('warning', warning))
// Thrown by a listener of a response that has left, as a mistake in an application would be.
process.on('uncaughtException', (error) => print('uncaught', error))

function print(what: string, value: unknown): void {
  console.log(
    what,
    inspect(value, { depth: 20, showHidden: true, getters: true, maxStringLength: null, maxArrayLength: null }),
  )
}

const { app } = testSite(JSON.parse(process.argv[2] as string) as SessionOptions)
app.on('error', (error) => print('app error', error))
const server = createServer(LASTING, app.callback())
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
process.on('disconnect', () => process.exit())
