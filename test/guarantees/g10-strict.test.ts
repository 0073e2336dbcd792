import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, it, type TestContext } from 'node:test'
import Keygrip from 'keygrip'
import { memoryStore, type DiagnosticMessage, type SessionOptions } from '../../src/index.ts'
import { newToken } from '../../src/session/token.ts'
import { Agent, KEY, sessionOf, siteWith } from '../support/sites/http.ts'
import { startHere } from '../support/sites/test-site.ts'
import { recordingStore } from '../support/stores/recording-store.ts'
import { keysOf } from '../support/stores/stores.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

/** What an attacker with the signing key would send for an id of his own choice. */
function signed(id: string, name = 'sid'): string {
  return `${name}=${id}.${new Keygrip([KEY], 'sha256').sign(`${name}=${id}`)}`
}

function suspicions(test: TestContext): (string | undefined)[] {
  const heard: (string | undefined)[] = []
  const listen = (message: unknown): void => void heard.push((message as DiagnosticMessage).reason)
  subscribe('koa-server-session:suspicious', listen)
  test.after(() => unsubscribe('koa-server-session:suspicious', listen))
  return heard
}

describe('G10: an id that the library did not issue', () => {
  const stores: Record<string, (test: TestContext) => SessionOptions> = {
    memory: () => ({ store: 'memory:' }),
    files: () => ({ store: `file:${temporaryDirectory()}` }),
  }
  for (const [name, optionsFor] of Object.entries(stores)) {
    it(`never becomes a session, signed or not, and is reported: ${name}`, async (test) => {
      const heard = suspicions(test)
      const agent = new Agent(await startHere(test, optionsFor(test)))
      const chosen = newToken()
      const forged = `sid=${chosen}.${'A'.repeat(43)}`
      for (const cookie of [signed(chosen), forged]) {
        heard.length = 0
        const reply = await new Agent(agent.port).get('/write?key=user&value=mallory', { cookie })
        assert.equal(reply.status, 200)
        assert.equal(reply.cookies.length, 1)
        assert.ok(!reply.cookies[0]?.includes(chosen), 'the new session has an id of our own')
        assert.deepEqual(heard, [cookie === forged ? 'signature' : 'unknown id'])
        assert.deepEqual((await agent.get('/read', { cookie })).json()['result'], {}, 'the chosen id is still nothing')
      }
    })
  }

  it('costs the store one look if it is signed, and none if it is not', async (test) => {
    const store = recordingStore({ power: 'isCurrent' })
    const agent = new Agent(await startHere(test, { store }))
    await agent.get('/read', { cookie: `sid=${newToken()}.${'A'.repeat(43)}` })
    await agent.get('/read', { cookie: 'sid=1' })
    await agent.get('/read', { cookie: `sid=${'\u00e9'.repeat(43)}` }).catch(() => {})
    assert.deepEqual([store.calls, store.questions], [[], 0])
    await agent.get('/read', { cookie: signed(newToken()) })
    assert.deepEqual([store.calls, store.questions], [['load'], 0])
  })

  it('is not reported if it has not the form of an id at all', async (test) => {
    const heard = suspicions(test)
    const agent = new Agent(await startHere(test, { store: 'memory:' }))
    for (const cookie of [
      'sid=1',
      'sid=',
      `sid=${'A'.repeat(43)}`,
      `sid=${'A'.repeat(44)}.${'A'.repeat(43)}`,
      `sid=${'~'.repeat(43)}.${'A'.repeat(43)}`,
    ]) {
      await agent.get('/read', { cookie })
    }
    assert.deepEqual(heard, [])
  })

  it('is not made one by a cookie of another middleware on the same store', async (test) => {
    const store = memoryStore()
    const shop = new Agent(await startHere(test, { store, cookie: { name: 'shop' } }))
    const admin = new Agent(await startHere(test, { store, cookie: { name: 'admin' } }))
    await shop.get('/write?key=user&value=alice')
    const value = shop.cookies.get('shop') as string
    assert.deepEqual((await admin.get('/read', { cookie: `admin=${value}` })).json()['result'], {})
    assert.deepEqual((await shop.get('/read')).json()['result'], { user: 'alice' })
  })
})

describe('G10: session fixation', () => {
  it('an id that an attacker planted before the login is dead after it', async (test) => {
    const store = memoryStore()
    const attacker = new Agent(await startHere(test, { store }))
    await attacker.get('/write?key=guest&value=1')
    // The victim is made to use the attacker's own, valid cookie.
    const victim = new Agent(attacker.port, new Map(attacker.cookies))
    await victim.get('/login?user=alice')
    assert.notEqual(victim.cookieHeader, attacker.cookieHeader)
    assert.deepEqual((await attacker.get('/read')).json()['result'], {})
    assert.deepEqual((await victim.get('/read')).json()['result'], { user: 'alice' })
    assert.equal((await keysOf(store)).length, 1)
  })

  it('regenerate({ keep: true }) carries the data and leaves nothing under the old id', async (test) => {
    const store = memoryStore()
    const agent = new Agent(await startHere(test, { store }))
    await agent.get('/write?key=user&value=alice')
    const old = agent.cookieHeader
    await agent.get('/rotate')
    assert.deepEqual((await agent.get('/read')).json()['result'], { user: 'alice' })
    assert.deepEqual((await new Agent(agent.port).get('/read', { cookie: old })).json()['result'], {})
    assert.equal((await keysOf(store)).length, 1)
  })

  it('parallel regenerates of one session leave one, and all succeed: nobody holds the others yet', async (test) => {
    for (const store of [memoryStore(), `file:${temporaryDirectory()}`]) {
      const agent = new Agent(await startHere(test, { store }))
      await agent.get('/write?key=user&value=alice')
      const cookie = agent.cookieHeader
      const replies = await Promise.all(
        Array.from({ length: 10 }, (_, index) => {
          const rotating = new Agent(agent.port).get(`/rotate?gate=${index}`, { cookie })
          return new Agent(agent.port).get(`/arrived?gate=${index}`).then(() => ({ rotating }))
        }),
      )
      await Promise.all(replies.map((_, index) => agent.get(`/open?gate=${index}`)))
      const settled = await Promise.all(replies.map(({ rotating }) => rotating))
      for (const { status, cookies } of settled) assert.deepEqual([status, cookies.length], [200, 1])
      const seen = await Promise.all(
        settled.map(({ cookies: [cookie = ''] }) => agent.get('/read', { cookie: cookie.split(';', 1)[0] as string })),
      )
      const users = seen.map((reply) => reply.json<{ result: { user?: string } }>().result.user)
      assert.equal(users.filter((user) => user === 'alice').length, 1)
      if (typeof store === 'object') assert.equal((await keysOf(store)).length, 1, 'and one record is left')
    }
  })

  it('the object that was held before the login keeps its data for reading, and refuses to be written', async (test) => {
    const { agent } = await siteWith(test, {}, async (ctx) => {
      const session = sessionOf(ctx)
      session['guest'] = 1
      await session.regenerate()
      assert.notEqual(ctx.session, session)
      assert.equal(session['guest'], 1)
      assert.throws(() => (session['guest'] = 2), { code: 'ERR_SESSION_ENDED' })
      ctx.body = { ...ctx.session }
    })
    assert.equal((await agent().get('/')).text, '{}')
  })
})
