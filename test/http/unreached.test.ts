import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { describe, it } from 'node:test'
import { promisify } from 'node:util'

const LIBRARY = new URL('../../src/index.js', import.meta.url).href

/** The library's warnings in a process of its own, after requests for these paths. `build`: what the application uses. */
async function warningsOf(build: string, ...paths: string[]): Promise<string[]> {
  const program = `
    import { once } from 'node:events'
    import Koa from 'koa'
    import { session } from '${LIBRARY}'
    const warnings = []
    process.on('warning', ({ code, message }) => warnings.push(code + ': ' + message))
    const app = new Koa()
    app.silent = true
    const sessions = session({ keys: ['a signing key for tests, and long enough'], store: 'memory:' })
    const routes = (ctx, next) => {
      if (ctx.path === '/broken') throw new Error('of the handler')
      if (ctx.path !== '/me') return next()
      ctx.body = String(ctx.session.user)
    }
    ${build}
    const server = app.listen(0, '127.0.0.1')
    await once(server, 'listening')
    for (const path of ${JSON.stringify(paths)}) await (await fetch('http://127.0.0.1:' + server.address().port + path)).text()
    await new Promise(setImmediate)
    server.close()
    server.closeAllConnections()
    await sessions.close()
    console.log(JSON.stringify(warnings))
  `
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program])
  return JSON.parse(stdout) as string[]
}

describe('a session middleware that no request has reached', () => {
  const unreached: [title: string, build: string][] = [
    ['stands below a router that answers', 'app.use(routes).use(sessions)'],
    ['was never given to app.use', 'app.use(routes)'],
  ]
  for (const [title, build] of unreached) {
    it(`because it ${title}: a warning says so beside the TypeError of the handler, once`, async () => {
      const warnings = await warningsOf(build, '/me', '/me')
      assert.equal(warnings.length, 1)
      assert.match(
        warnings[0] ?? '',
        /^SESSION_NOT_REACHED: .*app\.use\(session\(…\)\) missing, or .* below the router/,
      )
    })
  }

  it('is no reason for a warning if a request has come and was refused there, because there are no keys', async () => {
    const build = "app.use(session({ store: 'memory:' })).use(routes)"
    assert.deepEqual(await warningsOf(build, '/me'), [])
  })

  it('is no reason for a warning while nothing fails, nor once a request has come through', async () => {
    assert.deepEqual(await warningsOf('app.use(sessions).use(routes)', '/', '/me', '/broken'), [])
    assert.deepEqual(
      await warningsOf(
        'app.use((ctx, next) => ctx.path === "/public" ? void (ctx.body = "") : next()).use(sessions).use(routes)',
        '/public',
        '/me',
        '/broken',
      ),
      [],
    )
  })
})
