import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { describe, it, type TestContext } from 'node:test'
import { WebSocket } from 'ws'
import { inTheEnd } from '../support/in-the-end.ts'
import { startProcesses } from '../support/processes/site-processes.ts'
import { patientRedis } from '../support/processes/deployments.ts'
import { privateRedis } from '../support/servers/redis-server.ts'
import { Agent } from '../support/sites/http.ts'
import { tcpProxy } from '../support/proxies/tcp-proxy.ts'

const TRIALS = 20

const DEPLOYMENTS: Record<string, (test: TestContext) => Promise<number[]>> = {
  'two processes on files': (test) => startProcesses(test, 2, {}, 'socket-server'),
  'two processes on one Redis': async (test) =>
    startProcesses(test, 2, { store: await patientRedis(test) }, 'socket-server'),
  'two processes on one Redis, without a cache': async (test) =>
    startProcesses(test, 2, { store: await patientRedis(test), cache: false }, 'socket-server'),
}

function open(browser: Agent): WebSocket {
  const socket = new WebSocket(`ws://127.0.0.1:${browser.port}/ws`, { headers: { cookie: browser.cookieHeader } })
  socket.on('error', () => {}) // a server that is killed when the test ends; whoever waits for something is told too
  return socket
}

/** A socket that is open; closed when the test ends. */
async function opened(test: TestContext, browser: Agent): Promise<WebSocket> {
  const socket = open(browser)
  test.after(() => socket.terminate())
  await once(socket, 'open')
  return socket
}

/** The status with which an upgrade is refused; `undefined` if it is not. */
async function refusal(browser: Agent): Promise<number | undefined> {
  const socket = open(browser)
  const answered = once(socket, 'unexpected-response') as Promise<[{ destroy(): void }, IncomingMessage]>
  const answer = await Promise.race([answered, once(socket, 'open').then(() => undefined)])
  if (answer) answer[0].destroy()
  else socket.terminate()
  return answer?.[1].statusCode
}

async function ask(socket: WebSocket, message: string): Promise<Record<string, unknown>> {
  socket.send(message)
  const [reply] = (await once(socket, 'message')) as [Buffer]
  return JSON.parse(String(reply)) as Record<string, unknown>
}

async function closed(socket: WebSocket): Promise<number> {
  const [code] = (await once(socket, 'close')) as [number]
  return code
}

async function signedIn(port: number): Promise<Agent> {
  const browser = new Agent(port)
  await browser.get('/in')
  return browser
}

for (const [name, start] of Object.entries(DEPLOYMENTS)) {
  it(`WebSockets of ws: ${name}`, async (test) => {
    const ports = await start(test)
    const [here = 0, there = 0] = ports

    await test.test('are refused without a session, and after its end', async (test) => {
      assert.equal(await refusal(new Agent(here)), 401)
      const browser = await signedIn(here)
      assert.deepEqual(await ask(await opened(test, browser), 'read'), { user: 'ada' })
      const { cookieHeader } = browser
      await browser.at(there).get('/out')
      const thief = new Agent(here, new Map([['sid', cookieHeader.slice('sid='.length)]]))
      await inTheEnd(() => refusal(thief), 401)
    })

    await test.test('and requests see what the others have changed', async (test) => {
      const browser = await signedIn(here)
      const socket = await opened(test, browser)
      assert.deepEqual(await ask(socket, 'set dark'), { user: 'ada', theme: 'dark' })
      assert.deepEqual((await browser.get('/')).json(), { user: 'ada', theme: 'dark' })
      await browser.get('/set?theme=light')
      assert.deepEqual(await ask(socket, 'read'), { user: 'ada', theme: 'light' })
      const other = await opened(test, browser.at(there))
      assert.deepEqual(await ask(other, 'set blue'), { user: 'ada', theme: 'blue' })
    })

    await test.test('count exactly by 100 messages at once over both processes', async (test) => {
      const browser = await signedIn(here)
      const sockets = await Promise.all([here, there, here, there].map((port) => opened(test, browser.at(port))))
      const counts: number[] = []
      const all = sockets.map(
        (socket) =>
          new Promise<void>((resolve) => {
            let answers = 0
            socket.on('message', (reply: Buffer) => {
              counts.push((JSON.parse(String(reply)) as { count: number }).count)
              if (++answers === 25) resolve()
            })
          }),
      )
      for (let message = 0; message < 25; message++) for (const socket of sockets) socket.send('add')
      await Promise.all(all)
      assert.deepEqual(
        counts.sort((one, other) => one - other),
        Array.from({ length: 100 }, (_, index) => index + 1),
      )
    })

    await test.test(
      `are closed by a sign-out over HTTP in either process, ${TRIALS} times of ${TRIALS}`,
      async (test) => {
        const signOut = async (trial: number): Promise<void> => {
          const browser = await signedIn(ports[0]!)
          const bystander = await opened(test, await signedIn(ports[0]!))
          const sockets = await Promise.all(ports.map((port) => opened(test, browser.at(port))))
          const ends = Promise.all(sockets.map(closed))
          await browser.at(ports[trial % 2]!).get(trial % 5 === 4 ? '/login' : '/out')
          assert.deepEqual(await ends, [4001, 4001])
          assert.equal(bystander.readyState, WebSocket.OPEN)
          bystander.terminate()
        }
        // Some at once, because on files each waits for the next look.
        for (let trial = 0; trial < TRIALS; trial += 10)
          await Promise.all(Array.from({ length: 10 }, (_, index) => signOut(trial + index)))
      },
    )
  })
}

describe('WebSockets while Redis is out of reach', () => {
  it('stay open, and are closed if their session was ended meanwhile', async (test) => {
    const redis = await privateRedis(test)
    const proxy = await tcpProxy(redis.port)
    test.after(() => proxy.close())
    const [[here = 0], [there = 0]] = await Promise.all([
      startProcesses(test, 1, { store: `redis://127.0.0.1:${proxy.port}` }, 'socket-server'),
      startProcesses(test, 1, { store: redis.url }, 'socket-server'),
    ])
    const [leaving, staying] = [await signedIn(here), await signedIn(here)]
    const [socket, other] = [await opened(test, leaving), await opened(test, staying)]
    const end = closed(socket)
    proxy.blackHole()
    proxy.cut()
    await leaving.at(there).get('/out')
    assert.deepEqual(await ask(other, 'add'), { code: 'ERR_SESSION_STORE_UNAVAILABLE' })
    assert.deepEqual([socket.readyState, other.readyState], [WebSocket.OPEN, WebSocket.OPEN])
    proxy.heal()
    assert.equal(await end, 4001)
    assert.equal(other.readyState, WebSocket.OPEN)
  })

  it('are closed once a server is back that was killed and has lost all sessions', async (test) => {
    const redis = await privateRedis(test)
    const [here = 0] = await startProcesses(test, 1, { store: redis.url }, 'socket-server')
    const browser = await signedIn(here)
    const socket = await opened(test, browser)
    const end = closed(socket)
    await redis.kill()
    assert.deepEqual(await ask(socket, 'add'), { code: 'ERR_SESSION_STORE_UNAVAILABLE' })
    assert.equal(socket.readyState, WebSocket.OPEN)
    await redis.restart()
    assert.equal(await end, 4001)
  })
})
