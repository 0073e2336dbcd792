import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import Koa from 'koa'
import { session } from '../../src/index.ts'
import { command, documents } from '../support/processes/command.ts'
import { Agent, KEY, serve } from '../support/sites/http.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const NAMES = {
  ada: { tenant: 'acme', role: 'admin' },
  bob: { tenant: 'acme', role: 'guest' },
  eve: { tenant: 'umbrella', role: 'admin' },
} as const

/** A store with a session of each of them. */
async function three(test: TestContext): Promise<string> {
  const store = `file:${temporaryDirectory()}/sessions`
  const sessions = session({ keys: [KEY], store })
  test.after(() => sessions.close())
  const app = new Koa()
  app.use(sessions)
  app.use((ctx) => {
    const user = ctx.path.slice(1) as keyof typeof NAMES
    ctx.session.identify(user, { also: NAMES[user] })
    ctx.body = 'done'
  })
  const { port } = await serve(test, app)
  for (const user of Object.keys(NAMES)) await new Agent(port).get(`/${user}`)
  return store
}

describe('koa-server-session --also', () => {
  const env = { SESSION_KEY: KEY }
  for (const [how, more] of [
    ['among all sessions', []],
    ['by the index of an application', ['--cookie', 'sid']],
  ] as const) {
    it(`lists and ends the sessions that have all of the names, ${how}`, async (test) => {
      const store = await three(test)
      const users = async (...args: string[]): Promise<unknown[]> => {
        const ended = await command(['list', '--json', '-s', store, ...more, ...args], env)
        return documents(ended)
          .map(({ subject }) => subject)
          .toSorted()
      }
      assert.deepEqual(await users('--also', 'tenant=acme'), ['ada', 'bob'])
      assert.deepEqual(await users('--also', 'tenant=acme', '--also=role=admin'), ['ada'])
      assert.deepEqual(await users('--subject', 'bob', '--also', 'tenant=acme'), ['bob'])
      const none = await command(['list', '-s', store, ...more, '--subject', 'eve', '--also', 'tenant=acme'], env)
      assert.equal(none.code, 3)
      assert.match(none.err, /^No live session in file:\S+ has all of these names/)

      const revoked = await command(['revoke', '--json', '-s', store, ...more, '--also', 'role=admin'], env)
      assert.deepEqual([revoked.code, documents(revoked)], [0, [{ revoked: 2 }]])
      const left = await command(['list', '--json', '-s', store])
      assert.deepEqual(
        documents(left).map(({ subject, also }) => [subject, also]),
        [['bob', { role: 'guest', tenant: 'acme' }]],
      )
    })
  }

  it('takes a name and its value, once for each name', async () => {
    for (const [args, sentence] of [
      [['--also', 'acme'], /--also needs a name and its value, such as --also tenant=acme/],
      [['--also', 'tenant='], /--also needs a name and its value/],
      [['--also', 'subject=ada'], /the user is --subject NAME/],
      [['--also', 'tenant=acme', '--also', 'tenant=umbrella'], /has one value of each/],
    ] as const) {
      for (const verb of ['list', 'revoke']) {
        const { code, out, err } = await command([verb, ...args])
        assert.deepEqual([code, out], [2, ''])
        assert.match(err, sentence)
        assert.doesNotMatch(err, /umbrella/)
      }
    }
  })

  it('may have a value that looks like a cookie', async () => {
    const value = 'Pi-j92CNaIT-oboIwI4V8ncwt4jjnEc-u3csSrO4oh0'
    const { code, err } = await command(['list', '--also', `sid=${value}`, '-s', `file:${temporaryDirectory()}`])
    assert.equal(code, 1)
    assert.match(err, /There are no sessions in the directory/)
  })
})

describe('--cookie', () => {
  it('names an application, so it goes with whose sessions are meant there', async () => {
    for (const verb of ['list', 'revoke']) {
      const { code, err } = await command([verb, '--cookie', 'sid', ...(verb === 'revoke' ? ['--all'] : [])])
      assert.equal(code, 2)
      assert.match(err, /--cookie goes with --subject or --also/)
    }
  })
})
