import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { readPage, type Block } from '../support/documents/pages.ts'
import { until } from '../support/servers/server-process.ts'
import { Agent, KEY } from '../support/sites/http.ts'

const ROOT = join(import.meta.dirname, '../../..')
const VISITORS = 5
const WHY_WITHIN = 5000

/**
 * A store as slow as the test likes it: a load waits while there is a file `closed`, and
 * leaves a mark in the file `asked`.
 */
const SLOW_STORE = `
import { appendFileSync, existsSync } from 'node:fs'
import { memoryStore } from 'koa-server-session'
export function slowStore() {
  const store = memoryStore({ pruneInterval: 0 })
  return {
    ...store,
    async load(key) {
      if (existsSync('closed')) appendFileSync('asked', '.')
      while (existsSync('closed')) await new Promise((resolve) => setTimeout(resolve, 1))
      return store.load(key)
    },
  }
}
`

/** What the README's block takes for granted, around it. */
function readmeProgram(block: string): string {
  return `
import { createServer } from 'node:http'
import Koa from 'koa'
import { WebSocketServer } from 'ws'
import { getSession, runWithSession, session } from 'koa-server-session'
const sessions = session({ keys: [process.env.SESSION_KEY] })
const app = new Koa()
app.use(sessions)
app.use(async (ctx) => {
  if (ctx.path === '/sign-in') ctx.session.userId = ctx.query.name
  if (ctx.path === '/sign-out') await ctx.session.destroy()
  ctx.body = 'here'
})
const answerTo = (text) => getSession().update((session) => session.userId + ' said ' + text)
const server = createServer(app.callback())
const sockets = new WebSocketServer({ noServer: true })
${block}
server.listen(3000)
`
}

function blockOf(path: string, isWanted: (block: Block) => boolean): string {
  const block = readPage(ROOT, path).blocks.find(isWanted)
  assert.ok(block, path)
  return block.code
}

const PROGRAMS: Record<string, () => string> = {
  'README.md': () => readmeProgram(blockOf('README.md', ({ code }) => code.startsWith("server.on('upgrade'"))),
  'docs/websockets.md': () => blockOf('docs/websockets.md', ({ file }) => file === 'chat.js'),
}

interface Program {
  readonly port: number
  readonly directory: string
  /** Shows that the process is the one that was started, and answers. */
  assertAnswers(): Promise<void>
}

/** Starts a documented program, with a slow store of the test's own. */
async function startProgram(test: TestContext, name: string, code: string): Promise<Program> {
  // Inside the package, so that the program finds it by its name.
  const directory = join(ROOT, 'dist/abused', name.replace(/\W/g, '-'))
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { recursive: true })
  const lines = code
    .replace('listen(3000)', `listen(0, '127.0.0.1', function () { console.log(this.address().port) })`)
    .replace(
      'session({ keys: [process.env.SESSION_KEY] })',
      'session({ keys: [process.env.SESSION_KEY], store: slowStore(), cache: false })',
    )
  assert.ok(lines.includes('slowStore()') && lines.includes('listen(0'), name)
  writeFileSync(join(directory, 'slow-store.mjs'), SLOW_STORE)
  writeFileSync(join(directory, 'program.mjs'), `import { slowStore } from './slow-store.mjs'\n${lines}`)
  const child = spawn(process.execPath, ['program.mjs'], {
    cwd: directory,
    env: { ...process.env, SESSION_KEY: KEY },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let complaint = ''
  child.stderr.on('data', (data) => (complaint += String(data)))
  test.after(async () => {
    if (child.exitCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    rmSync(directory, { recursive: true, force: true })
  })
  const ended = once(child, 'close').then((): never => assert.fail(`${name} has ended: ${complaint}`))
  const [line] = (await Promise.race([once(child.stdout, 'data'), ended])) as [Buffer]
  const port = Number(line)
  return {
    port,
    directory,
    async assertAnswers() {
      const answer = await new Agent(port).get('/').then(
        ({ status }) => status,
        (error: unknown) => error,
      )
      // Why a process has ended is known later than that its connections are gone.
      if (answer !== 200) await Promise.race([once(child, 'close'), pause(WHY_WITHIN)])
      assert.deepEqual([answer, child.exitCode], [200, null], complaint || undefined)
    },
  }
}

function upgradeRequest(cookie: string): string {
  return (
    'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
    `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: ${cookie}\r\n\r\n`
  )
}

/** A connection that asks for an upgrade, by hand. */
async function askForUpgrade(port: number, cookie: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.write(upgradeRequest(cookie))
  return socket
}

async function signedIn(port: number): Promise<Agent> {
  const browser = new Agent(port)
  assert.equal((await browser.get('/sign-in?name=ada')).status, 200)
  return browser
}

async function opened(test: TestContext, { port, cookieHeader }: Agent): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`, { headers: { cookie: cookieHeader } })
  socket.on('error', () => {})
  test.after(() => socket.terminate())
  await once(socket, 'open')
  return socket
}

for (const [name, code] of Object.entries(PROGRAMS)) {
  describe(`the WebSocket program of ${name}`, () => {
    it('goes on when visitors reset their connections while the store is asked', async (test) => {
      const program = await startProgram(test, `${name} reset`, code())
      const [closed, asked] = ['closed', 'asked'].map((file) => join(program.directory, file)) as [string, string]
      const { cookieHeader } = await signedIn(program.port)
      writeFileSync(closed, '')
      const sockets = await Promise.all(
        Array.from({ length: VISITORS }, () => askForUpgrade(program.port, cookieHeader)),
      )
      await until(() => existsSync(asked) && readFileSync(asked).length === VISITORS)
      for (const socket of sockets) socket.resetAndDestroy()
      // Answered later, so the resets have been seen; without a cookie, so the store is not asked.
      for (let request = 0; request < 3; request++) await program.assertAnswers()
      rmSync(closed)
      await program.assertAnswers()
      const socket = await opened(test, await signedIn(program.port))
      socket.send('hello')
      assert.match(String((await once(socket, 'message'))[0]), /ada said/)
    })

    it('goes on when strangers reset their connections, whose upgrade is refused', async (test) => {
      const program = await startProgram(test, `${name} strangers`, code())
      for (const cookie of ['other=1', 'sid=nonsense']) {
        const sockets = await Promise.all(Array.from({ length: VISITORS }, () => askForUpgrade(program.port, cookie)))
        for (const socket of sockets) socket.resetAndDestroy()
        for (let request = 0; request < 3; request++) await program.assertAnswers()
      }
    })

    it('closes the connection of a stranger who does not', async (test) => {
      const program = await startProgram(test, `${name} refused`, code())
      const socket = connect({ port: program.port, host: '127.0.0.1', allowHalfOpen: true })
      test.after(() => socket.destroy())
      socket.on('error', () => {})
      socket.write(upgradeRequest('other=1'))
      let answer = ''
      socket.on('data', (data) => (answer += String(data)))
      await once(socket, 'end')
      assert.match(answer, /^HTTP\/1\.1 401 /)
      // Once the server has let go of the connection, what is written into it is answered by a reset.
      const reset = new Promise((resolve) => socket.once('close', resolve))
      const writing = setInterval(() => socket.write('x'), 1)
      test.after(() => clearInterval(writing))
      await reset
      await program.assertAnswers()
    })

    it('goes on when a visitor sends a frame that is none', async (test) => {
      const program = await startProgram(test, `${name} frame`, code())
      const socket = await askForUpgrade(program.port, (await signedIn(program.port)).cookieHeader)
      test.after(() => socket.destroy())
      assert.match(String((await once(socket, 'data'))[0]), /^HTTP\/1\.1 101 /)
      const closed = once(socket.resume(), 'close')
      socket.write(Buffer.from([0xf1, 0x80, 0, 0, 0, 0])) // reserved bits set
      await closed
      await program.assertAnswers()
    })

    it('goes on when a message meets a session that has ended', async (test) => {
      const program = await startProgram(test, `${name} ended`, code())
      const browser = await signedIn(program.port)
      const socket = await opened(test, browser)
      const closed = once(socket, 'close')
      // They are read in any order with the sign-out, before it and after it.
      const signedOut = browser.get('/sign-out')
      for (let message = 0; message < 200; message++) {
        socket.send('x')
        if (message % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
      await Promise.all([signedOut, closed])
      await program.assertAnswers()
    })
  })
}
