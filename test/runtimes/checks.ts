/** What must hold on other runtimes than Node. `run.ts` starts it: it needs the paths of their programs. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join, resolve } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Agent, KEY } from '../support/sites/http.ts'
import { redisServer, type RedisServer } from '../support/servers/redis-server.ts'
import { freePort, isOpen, until } from '../support/servers/server-process.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const ROOT = resolve(import.meta.dirname, '../../..')
const SITE = join(ROOT, 'test/runtimes/site.mjs')
const { RUNTIMES = '{}' } = process.env

let redis: RedisServer
before(async () => {
  redis = await redisServer()
})
after(() => redis.stop())

/** Of each runtime, what stands before the program in its command line. */
const runtimes = Object.entries(JSON.parse(RUNTIMES) as Record<string, string[]>)
assert.ok(runtimes.length > 0, 'npm run test:runtimes says which runtimes there are')

for (const [runtime, [command = '', ...args]] of runtimes) {
  for (const [store, urlOf] of [
    ['files', () => `file:${temporaryDirectory()}/sessions`],
    ['Redis', () => `${redis.url}?prefix=${Math.random()}:`],
  ] as const) {
    describe(`${runtime}, with sessions in ${store}`, () => {
      let site: ChildProcess
      let port: number
      let printed = ''
      const visitor = (): Agent => new Agent(port)

      before(async () => {
        port = await freePort()
        const env = { ...process.env, PORT: String(port), SESSION_KEY: KEY, SESSION_STORE: urlOf() }
        site = spawn(command, [...args, SITE], { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] })
        for (const stream of [site.stdout, site.stderr]) stream?.on('data', (data) => (printed += String(data)))
        await until(async () => site.exitCode !== null || (await isOpen(port)))
        assert.equal(site.exitCode, null, printed)
      })
      after(() => void site.kill('SIGKILL'))

      it('counts visits under one cookie, which is set once', async () => {
        const ada = visitor()
        const first = await ada.get('/')
        assert.equal(first.text, 'Visit 1')
        assert.match(first.cookies.join(), /^sid=[\w-]{43}\.[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax$/i)
        const second = await ada.get('/')
        assert.deepEqual([second.text, second.cookies], ['Visit 2', []])
      })

      it('signs in under a new token, keeps what is to be kept as what it was, and signs out for good', async () => {
        const ada = visitor()
        await ada.get('/cart')
        const before = ada.cookieHeader
        await ada.get('/sign-in?name=ada')
        const signedIn = ada.cookieHeader
        assert.notEqual(signedIn, before)
        assert.deepEqual((await ada.get('/me')).json(), { name: 'ada', tea: '1', at: 0 })
        assert.equal((await ada.get('/me', { cookie: before })).json()['name'], 'nobody')
        await ada.get('/sign-out')
        assert.equal((await ada.get('/me', { cookie: signedIn })).json()['name'], 'nobody')
      })

      it('finds the session of each of many visitors at once, after awaits, timers and in streams', async () => {
        const names = Array.from({ length: 20 }, (_, index) => `visitor-${index}`)
        await Promise.all(
          names.map(async (name) => {
            const own = visitor()
            await own.get(`/sign-in?name=${name}`)
            const [me, pieces] = await Promise.all([own.get('/me'), own.get('/pieces')])
            assert.deepEqual([me.json()['name'], pieces.text], [name, `${name}\n`.repeat(3)])
          }),
        )
      })

      it('loses none of fifty changes at once', async () => {
        const ada = visitor()
        await ada.get('/')
        const counts = await Promise.all(Array.from({ length: 50 }, async () => Number((await ada.get('/count')).text)))
        assert.deepEqual(
          counts.toSorted((one, other) => one - other),
          Array.from({ length: 50 }, (_, index) => index + 1),
        )
      })

      it('keeps what was written before an error of the visitor’s', async () => {
        const ada = visitor()
        const answers = [await ada.get('/refuse'), await ada.get('/refuse')]
        assert.deepEqual(
          answers.map(({ status, text }) => [status, text]),
          [
            [401, 'attempt 1'],
            [401, 'attempt 2'],
          ],
        )
      })

      it('lists the sessions of a user, and ends them', async () => {
        const [laptop, phone] = [visitor(), visitor()]
        for (const device of [laptop, phone]) await device.get('/sign-in?name=grace')
        assert.equal((await laptop.get('/devices')).text, '2')
        assert.equal((await laptop.get('/sign-out-elsewhere')).text, '1')
        assert.equal((await phone.get('/me')).json()['name'], 'nobody')
      })

      it('ends by itself when it is told to', async () => {
        site.kill('SIGTERM')
        const [code] = (await once(site, 'exit')) as [number | null]
        await until(() => printed.includes('stopped'))
        assert.deepEqual([code, printed], [0, 'stopped\n'])
      })
    })
  }
}
