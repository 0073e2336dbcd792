import assert from 'node:assert/strict'
import { once } from 'node:events'
import { it, type TestContext } from 'node:test'
import { io, type Socket } from 'socket.io-client'
import { startProcesses } from '../support/processes/site-processes.ts'
import { patientRedis } from '../support/processes/deployments.ts'
import { Agent } from '../support/sites/http.ts'

type Transport = 'polling' | 'websocket'

function connect(test: TestContext, browser: Agent, transport: Transport): Socket {
  const socket = io(`http://127.0.0.1:${browser.port}`, {
    transports: [transport],
    reconnection: false,
    forceNew: true,
    extraHeaders: { cookie: browser.cookieHeader },
  })
  test.after(() => socket.disconnect())
  return socket
}

async function connected(test: TestContext, browser: Agent, transport: Transport): Promise<Socket> {
  const socket = connect(test, browser, transport)
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('connect_error', reject)
  })
  return socket
}

async function ask(socket: Socket, message: string): Promise<Record<string, unknown>> {
  return JSON.parse((await socket.emitWithAck('message', message)) as string) as Record<string, unknown>
}

for (const transport of ['polling', 'websocket'] as const) {
  it(`socket.io over ${transport}, two processes on one Redis`, async (test) => {
    const url = await patientRedis(test)
    const [here = 0, there = 0] = await startProcesses(test, 2, { store: url }, 'socket-server')
    const browser = new Agent(here)
    const elsewhere = browser.at(there)
    await browser.get('/in')

    await test.test('refuses who has no session', async (test) => {
      const socket = connect(test, new Agent(browser.port), transport)
      const error = await new Promise<Error>((resolve) => socket.once('connect_error', resolve))
      assert.equal(error.message, 'Unauthorized')
    })

    await test.test('finds the session in the handlers of events, and counts exactly', async (test) => {
      const sockets = [await connected(test, browser, transport), await connected(test, elsewhere, transport)]
      assert.deepEqual(await ask(sockets[0]!, 'set dark'), { user: 'ada', theme: 'dark' })
      const answers = await Promise.all(Array.from({ length: 100 }, (_, index) => ask(sockets[index % 2]!, 'add')))
      assert.deepEqual(
        answers.map(({ count }) => Number(count)).sort((one, other) => one - other),
        Array.from({ length: 100 }, (_, index) => index + 1),
      )
      assert.deepEqual((await browser.get('/')).json()['theme'], 'dark')
    })

    await test.test(
      'disconnects when the visitor signs out in the other process, and lets others stay',
      async (test) => {
        const neighbour = new Agent(browser.port)
        await neighbour.get('/in')
        const [socket, other] = [await connected(test, browser, transport), await connected(test, neighbour, transport)]
        const end = once(socket as never, 'disconnect')
        await elsewhere.get('/out')
        await end
        assert.equal(other.connected, true)
      },
    )
  })
}
