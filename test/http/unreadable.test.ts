import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { readdirSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import type Koa from 'koa'
import {
  fileStore,
  isSessionError,
  memoryStore,
  type DiagnosticMessage,
  type Found,
  type SessionOptions,
  type Sessions,
  type Store,
} from '../../src/index.ts'
import { Agent, KEY, OLD_KEY, sessionOf, siteWith } from '../support/sites/http.ts'
import { STORE_KINDS } from '../support/stores/kinds.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { collectWarnings } from '../support/warnings.ts'

const HANDLER: Koa.Middleware = async (ctx) => {
  if (ctx.path === '/sign-in') await ctx.session.regenerate()
  if (ctx.path === '/sign-in' || ctx.path === '/write') sessionOf(ctx)['user'] = ctx.query['user']
  if (ctx.path === '/sign-out') await ctx.session.destroy()
  if (ctx.path === '/null') ctx.session = null
  if (ctx.path === '/id') ctx.body = ctx.session.id
  else ctx.body = ctx.path === '/null' ? 'nobody' : String(sessionOf(ctx)['user'] ?? 'nobody')
}

interface Damaged {
  readonly port: number
  readonly sessions: Sessions
  /** A visitor with the cookie of a session whose record cannot be read. */
  ada(): Agent
  /** Whether something is still under the key of that session. */
  isThere(): Promise<boolean>
}

/** A site, and a session on it that cannot be read from here on. */
async function damaged(
  test: TestContext,
  store: Store,
  damage: (key: string) => unknown,
  options: SessionOptions = {},
): Promise<Damaged> {
  const { port, sessions } = await siteWith(test, { store, cache: false, ...options }, HANDLER)
  const visitor = new Agent(port)
  await visitor.get('/sign-in?user=ada')
  const { text: key } = await visitor.get('/id')
  await damage(key)
  return {
    port,
    sessions,
    ada: () => new Agent(port, new Map(visitor.cookies)),
    async isThere() {
      try {
        return (await store.load(key)) !== undefined
      } catch (error) {
        if (isSessionError(error, 'ERR_SESSION_UNREADABLE')) return true
        throw error
      }
    },
  }
}

/** Makes the record something that no release has written. */
function overwriting(store: Store): (key: string) => Promise<void> {
  return async (key) => {
    const found = (await store.load(key)) as Found
    assert.ok((await store.save(key, 'no record', found.expiresAt, found)).saved)
  }
}

/** Makes the record far larger than `maxRecordBytes`, and leaves what it says. */
function blowingUp(store: Store): (key: string) => Promise<void> {
  return async (key) => {
    const found = (await store.load(key)) as Found
    const text = found.text + ' '.repeat(8 * 65_536)
    assert.ok((await store.save(key, text, found.expiresAt, found)).saved)
  }
}

const PLACES: Record<string, (test: TestContext) => Promise<Damaged>> = {
  ...Object.fromEntries(
    Object.entries(STORE_KINDS).map(([name, kind]) => [
      name,
      async (test: TestContext) => {
        const store = (await kind(test)).open()
        return damaged(test, store, overwriting(store))
      },
    ]),
  ),
  ...Object.fromEntries(
    Object.entries(STORE_KINDS).map(([name, kind]) => [
      `${name}, because it is too large`,
      async (test: TestContext) => {
        const store = (await kind(test)).open()
        return damaged(test, store, blowingUp(store))
      },
    ]),
  ),
  async 'an encrypted record that is too large'(test) {
    const store = memoryStore({ pruneInterval: 0 })
    return damaged(test, store, blowingUp(store), { encrypt: true })
  },
  async 'files that were removed'(test) {
    const directory = temporaryDirectory()
    const store = fileStore({ directory, pruneInterval: 0 })
    return damaged(test, store, () => {
      const files = readdirSync(directory, { recursive: true, encoding: 'utf8' })
      const pointers = files.filter((file) => /p\.\d+\.\d+\.\S+$/.test(file))
      assert.equal(pointers.length, 1)
      for (const file of pointers) unlinkSync(join(directory, file))
    })
  },
  async 'a record whose key was retired'(test) {
    const store = memoryStore({ pruneInterval: 0 })
    const old = await siteWith(test, { store, encrypt: true, keys: [OLD_KEY] }, HANDLER)
    const visitor = old.agent()
    await visitor.get('/sign-in?user=ada')
    const sealed = ((await store.load((await visitor.get('/id')).text)) as Found).text
    return damaged(
      test,
      store,
      async (key) => {
        const found = (await store.load(key)) as Found
        await store.save(key, sealed, found.expiresAt, found)
      },
      { encrypt: true },
    )
  },
  async 'a plain record after encrypt was switched on'(test) {
    const store = memoryStore({ pruneInterval: 0 })
    return damaged(test, store, overwriting(store), { encrypt: true })
  },
}

for (const [place, damagedThere] of Object.entries(PLACES)) {
  describe(`a record that cannot be read, on ${place}`, () => {
    it('makes its visitor a stranger, and is told of: by the channel, a counter, and one warning', async (test) => {
      const { ada, isThere, sessions } = await damagedThere(test)
      const warnings = await collectWarnings(test)
      const told: DiagnosticMessage[] = []
      const onMessage = (message: unknown): void => void told.push(message as DiagnosticMessage)
      subscribe('koa-server-session:error', onMessage)
      test.after(() => unsubscribe('koa-server-session:error', onMessage))
      for (let request = 1; request <= 3; request++) {
        const page = await ada().get('/')
        assert.deepEqual([page.status, page.text, page.cookies], [200, 'nobody', []])
        assert.equal(sessions.stats().errors, request)
      }
      assert.deepEqual(
        told.map(({ reason, error }) => [reason, isSessionError(error, 'ERR_SESSION_UNREADABLE')]),
        Array.from({ length: 3 }, () => ['unreadable', true]),
      )
      assert.deepEqual(
        (await warnings()).map(({ code }) => code),
        ['SESSION_UNREADABLE'],
      )
      assert.ok(await isThere(), 'who only looks leaves it alone')
    })

    it('stays when its visitor begins anew with a value', async (test) => {
      const { ada, isThere } = await damagedThere(test)
      const agent = ada()
      await agent.get('/write?user=bob')
      assert.equal((await agent.get('/')).text, 'bob')
      assert.ok(await isThere())
    })

    it('goes when its visitor signs in', async (test) => {
      const { ada, isThere } = await damagedThere(test)
      const agent = ada()
      assert.equal((await agent.get('/sign-in?user=bob')).status, 200)
      assert.equal((await agent.get('/')).text, 'bob')
      assert.equal(await isThere(), false)
    })

    for (const path of ['/sign-out', '/null']) {
      it(`goes when its visitor signs out by ${path}, and the cookie with it`, async (test) => {
        const { ada, isThere } = await damagedThere(test)
        const agent = ada()
        const page = await agent.get(path)
        assert.equal(page.status, 200)
        assert.match(page.cookies[0] ?? '', /^sid=;.*Max-Age=0/)
        assert.equal(await isThere(), false)
      })
    }
  })
}

describe('a record that cannot be read and cannot be removed', () => {
  it('is no sign-out that says it is done', async (test) => {
    const inner = memoryStore({ pruneInterval: 0 })
    const store: Store = { ...inner, delete: () => Promise.reject(new Error('the server is down')) }
    const { ada, isThere } = await damaged(test, store, overwriting(inner))
    for (const path of ['/sign-out', '/null', '/sign-in?user=bob']) {
      const page = await ada().get(path)
      assert.deepEqual([page.status, page.cookies], [503, []])
    }
    assert.ok(await isThere())
  })
})

describe('a record that is larger than maxRecordBytes', () => {
  it('is still read if a limit that was lowered since, or encryption, may be the reason', async (test) => {
    const store = memoryStore({ pruneInterval: 0 })
    const options = { store, encrypt: true, cache: false } as const
    const before = await siteWith(test, { ...options, maxRecordBytes: 8000 }, HANDLER)
    const visitor = before.agent()
    const user = 'x'.repeat(5000)
    await visitor.get(`/sign-in?user=${user}`)
    const after = await siteWith(test, { ...options, maxRecordBytes: 1000 }, HANDLER)
    assert.equal((await visitor.at(after.port).get('/')).text, user)
    const farther = await siteWith(test, { ...options, maxRecordBytes: 500 }, HANDLER)
    assert.equal((await visitor.at(farther.port).get('/')).text, 'nobody')
  })
})

describe('encrypt, while its keys are changed', () => {
  const MINUTE = 60_000

  it('counts by stats().decrypted which key opened the records, and writes them with the newest when they are extended', async (test) => {
    test.mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const store = memoryStore({ pruneInterval: 0 })
    const before = await siteWith(test, { store, encrypt: true, keys: [OLD_KEY] }, HANDLER)
    const visitor = before.agent()
    await visitor.get('/sign-in?user=ada')
    const after = await siteWith(test, { store, encrypt: true, keys: [KEY, OLD_KEY] }, HANDLER)
    const agent = visitor.at(after.port)
    assert.equal((await agent.get('/')).text, 'ada')
    assert.deepEqual(after.sessions.stats().decrypted, [0, 1])
    test.mock.timers.tick(10 * MINUTE)
    assert.equal((await agent.get('/')).text, 'ada')
    const counted = after.sessions.stats().decrypted
    assert.deepEqual(counted[0], 0)
    const retired = await siteWith(test, { store, encrypt: true, keys: [KEY] }, HANDLER)
    const again = agent.at(retired.port)
    assert.equal((await again.get('/')).text, 'ada', 'a session that was only read outlives its key')
    assert.deepEqual(retired.sessions.stats().decrypted, [1])
    const { text: key } = await again.get('/id')
    const extended = (await store.load(key)) as Found
    assert.ok(extended.expiresAt >= Date.now() + 30 * MINUTE)
  })

  it('does the same when a record is written', async (test) => {
    const store = memoryStore({ pruneInterval: 0 })
    const before = await siteWith(test, { store, encrypt: true, keys: [OLD_KEY] }, HANDLER)
    const visitor = before.agent()
    await visitor.get('/sign-in?user=ada')
    const after = await siteWith(test, { store, encrypt: true, keys: [KEY, OLD_KEY] }, HANDLER)
    await visitor.at(after.port).get('/write?user=bob')
    const retired = await siteWith(test, { store, encrypt: true, keys: [KEY] }, HANDLER)
    assert.equal((await visitor.at(retired.port).get('/')).text, 'bob')
  })
})
