import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'

const ROOT = join(import.meta.dirname, '../../..')
const require = createRequire(import.meta.url)
const ESBUILD = require.resolve('esbuild/bin/esbuild')

/** An application that makes each kind of store and shows its own session by way of both module systems. */
const PROGRAM = `
import Koa from 'koa'
import { Redis } from 'ioredis'
import { getSession, redisStore, session } from 'koa-server-session'
const keys = ['a key of 16 bytes or more']
const stores = { client: () => redisStore(new Redis({ lazyConnect: true })), redis: () => 'redis://127.0.0.1:1', memcached: () => 'memcached://127.0.0.1:1' }
for (const [name, make] of Object.entries(stores)) {
  const sessions = session({ keys, store: make(), cookie: { name } })
  console.log(name, sessions.canList)
  sessions.close()
}
const app = new Koa().use(session({ keys, store: 'memory:' })).use((ctx) => (ctx.body = String(getSession() === ctx.session)))
const server = app.listen(0, '127.0.0.1', async () => {
  console.log(await (await fetch('http://127.0.0.1:' + server.address().port)).text())
  server.close()
  server.closeAllConnections()
})
`

/** What the program prints as one file of this format, started in a directory where no package is in sight. */
function bundled(test: TestContext, program: string, format: 'cjs' | 'esm', ...options: string[]): string {
  mkdirSync(join(ROOT, 'dist'), { recursive: true })
  const folder = mkdtempSync(join(ROOT, 'dist/bundle-'))
  test.after(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'app.js'), program)
  const file = join(folder, format === 'cjs' ? 'bundle.cjs' : 'bundle.mjs')
  const made = run(ESBUILD, [
    join(folder, 'app.js'),
    '--bundle',
    '--platform=node',
    `--format=${format}`,
    `--outfile=${file}`,
    '--log-level=error',
    ...options,
  ])
  assert.equal(made, '')
  return run(process.execPath, [file], '/')
}

function run(command: string, args: string[], cwd: string = ROOT): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8', timeout: 120_000 })
  assert.equal(status, 0, stdout + stderr)
  return stdout + stderr
}

describe('a bundle', () => {
  it('of CommonJS has the package, and finds the drivers of its stores beside itself', (test) => {
    assert.equal(bundled(test, PROGRAM, 'cjs'), 'client true\nredis true\nmemcached false\ntrue\n')
  })

  it('of ECMAScript modules does so too', (test) => {
    // What packages of CommonJS ask for by require() is there only if the bundle brings it.
    const require = "import * as modules from 'node:module'; const require = modules.createRequire(import.meta.url);"
    assert.equal(
      bundled(test, PROGRAM, 'esm', `--banner:js=${require}`),
      'client true\nredis true\nmemcached false\ntrue\n',
    )
  })

  it('shares its sessions with the package beside it, asked for by both of its module systems', (test) => {
    const program = `
      import { runWithSession } from 'koa-server-session'
      import { fakeSession } from 'koa-server-session/testing'
      const visitor = fakeSession({ userId: 'ada' })
      const beside = require('module').createRequire(__filename)('koa-server-session')
      console.log(beside.runWithSession === runWithSession, runWithSession(visitor, () => beside.getSession().userId))
      const commonjs = require('koa-server-session')
      console.log(commonjs.runWithSession === runWithSession, runWithSession(visitor, () => commonjs.getSession().userId))
    `
    assert.equal(bundled(test, program, 'cjs'), 'false ada\nfalse ada\n')
  })
})
