import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, it } from 'node:test'
import { Diagnostics } from '../../src/diagnostics.ts'
import { SessionCookie } from '../../src/http/cookie.ts'
import { explained } from '../../src/http/debug.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { freePort } from '../support/servers/server-process.ts'

const ROOT = join(import.meta.dirname, '../../..')

/** What every program below begins with: a site over some store, and a visitor of it who keeps no cookies by himself. */
const SITE = `
import { once } from 'node:events'
import Koa from 'koa'
import { session } from '${ROOT}/dist/src/index.js'
const keys = ['a secret for signing cookies']
async function site(options, above = (ctx, next) => next()) {
  const app = new Koa()
  app.silent = true
  app.use(above)
  const sessions = session({ keys, ...options })
  app.use(sessions)
  app.use(async (ctx) => {
    if (ctx.path === '/write') ctx.session.name = 'a secret value'
    if (ctx.path === '/sign-in') await ctx.session.regenerate()
    if (ctx.path === '/sign-out') await ctx.session.destroy()
    if (ctx.path === '/revoke') await sessions.revoke(ctx.session.id, { because: 'a secret reason' })
    if (ctx.path === '/fail') throw new Error('a secret message')
    ctx.body = 'ok'
  })
  const server = app.listen(0)
  await once(server, 'listening')
  return async function visit(path, cookie, more) {
    const headers = { connection: 'close', ...(cookie && { cookie }), ...more }
    const answer = await fetch('http://127.0.0.1:' + server.address().port + path, { headers })
    await answer.text()
    return answer.headers.getSetCookie()[0]?.split(';')[0] ?? cookie
  }
}
`

/** Runs the program in a process of its own; what it wrote to stderr, without the number of the process. */
async function linesOf(program: string, environment: NodeJS.ProcessEnv): Promise<string[]> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', `${SITE}\n${program}\nprocess.exit()`], {
    cwd: ROOT,
    // Warnings of the process go to the same place, and are not what is asked for.
    env: { ...process.env, NODE_NO_WARNINGS: '1', ...environment },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const [written, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')])
  assert.equal(code, 0, written)
  assert.doesNotMatch(written, /secret|[\w-]{43}|[0-9a-f]{64}/)
  return written
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.replace(/^KOA-SERVER-SESSION \d+: /, ''))
}

const DEBUG = { NODE_DEBUG: 'koa-server-session' }

describe('NODE_DEBUG=koa-server-session', () => {
  it('says in a line for each request whether it had a session, and what became of it', async () => {
    const lines = await linesOf(
      `const visit = await site({ store: 'memory:', skip: (ctx) => ctx.path === '/logo.png' })
      await visit('/read')
      const cookie = await visit('/write')
      await visit('/read?with=a-secret-query', cookie)
      const newer = await visit('/sign-in', cookie)
      await visit('/read', cookie)
      await visit('/fail', newer)
      await visit('/sign-out', newer)
      await visit('/read', newer)
      await visit('/read', 'sid=something-else')
      await visit('/read', newer.slice(0, -1) + (newer.endsWith('A') ? 'B' : 'A'))
      await visit('/logo.png', cookie)
      await visit('/write', undefined, { 'sec-fetch-site': 'cross-site' })
      const other = await visit('/write')
      await visit('/revoke', other)
      await visit('/read', other)`,
      DEBUG,
    )
    const ENDED =
      'no session, because the store has no live record for the cookie (it expired, was ended, or lies in another store)'
    assert.deepEqual(lines, [
      'GET /read: sid: no session, because the request has no such cookie',
      'GET /write: sid: no session, because the request has no such cookie; save saved; cookie set',
      'GET /read: sid: session from the cache',
      'GET /sign-in: sid: session from the cache; save saved; regenerate; save saved; cookie set',
      'GET /read: sid: no session, because the id in the cookie was replaced a moment ago',
      'GET /fail: sid: session from the cache; threw an error',
      'GET /sign-out: sid: session from the cache; destroy destroyed; cookie cleared',
      `GET /read: sid: ${ENDED}`,
      'GET /read: sid: no session, because the cookie has not the form that this library gives it',
      'GET /read: sid: no session, because none of the keys signed the cookie',
      'GET /logo.png: sid: skipped',
      'GET /write: sid: no session, because another site began the request, and the browser may have withheld the cookie; error not kept',
      'GET /write: sid: no session, because the request has no such cookie; save saved; cookie set',
      'GET /revoke: sid: session from the cache; load found; save saved',
      'GET /read: sid: no session, because it was ended, and the visitor can be told why (`endedBecause`)',
    ])
  })

  it('names what is wrong with a record', async () => {
    const directory = temporaryDirectory()
    const lines = await linesOf(
      `import { readdirSync, writeFileSync } from 'node:fs'
      const visit = await site({ store: 'file:${directory}', cache: false })
      const cookie = await visit('/write')
      await visit('/read', cookie)
      const [content] = readdirSync('${directory}', { recursive: true }).filter((file) => /\\bc\\.[^/]*$/.test(file))
      writeFileSync('${directory}/' + content, 'no record')
      await visit('/read', cookie)`,
      DEBUG,
    )
    assert.equal(lines[1], 'GET /read: sid: session from the store')
    assert.match(lines[2] as string, /^GET \/read: sid: no session, because the record cannot be read: .*not JSON/)
  })

  it('names why the store failed, also in a read that two requests shared', async () => {
    const port = await freePort()
    const lines = await linesOf(
      `const store = 'memcached://127.0.0.1:${port}'
      const cookie = await (await site({ store: 'memory:' }))('/write')
      let arrived = 0
      let begin
      const haveBothArrived = new Promise((resolve) => (begin = resolve))
      const visit = await site({ store, cache: { allowStale: true } }, async (ctx, next) => {
        if (++arrived === 2) begin()
        await haveBothArrived
        return next()
      })
      await Promise.all([visit('/read', cookie), visit('/read', cookie)])
      await visit('/write', cookie)`,
      DEBUG,
    )
    const [, one, two, written] = lines
    assert.match(
      one as string,
      /^GET \/read: sid: no session, because the store failed: The session store could not be read/,
    )
    assert.match(two as string, /^GET \/read: sid: no session, because the store failed in a read that another request/)
    assert.match(written as string, /; threw ERR_SESSION_STORE_UNAVAILABLE$/)
  })

  it('keeps apart what is said of two middlewares in one request', async () => {
    const lines = await linesOf(
      `const app = new Koa()
      const outer = session({ keys, store: 'memory:', cookie: { name: 'outer' } })
      const inner = session({ keys, store: 'memory:', property: 'inner', cookie: { name: 'inner' } })
      app.use(outer).use(inner).use(outer)
      app.use((ctx) => {
        outer.get().visits = 1
        ctx.body = 'ok'
      })
      const server = app.listen(0)
      await once(server, 'listening')
      await (await fetch('http://127.0.0.1:' + server.address().port)).text()`,
      DEBUG,
    )
    assert.deepEqual(lines, [
      'GET /: inner: no session, because the request has no such cookie',
      'GET /: outer: no session, because the request has no such cookie; save saved; cookie set',
    ])
  })

  it('is silent without it, and then is not there at all', async () => {
    assert.deepEqual(await linesOf("await (await site({ store: 'memory:' }))('/write')", { NODE_DEBUG: '' }), [])
    const middleware = async (): Promise<void> => {}
    assert.equal(explained(middleware, new SessionCookie('sid', new Diagnostics('sid'))), middleware)
  })
})
