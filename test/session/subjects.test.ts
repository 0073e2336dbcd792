import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { after, before, describe, it, type TestContext } from 'node:test'
import { inspect } from 'node:util'
import Koa from 'koa'
import Keygrip from 'keygrip'
import {
  getSession,
  isSessionError,
  memoryStore,
  runWithSession,
  session,
  type Session,
  type SessionOptions,
  type Sessions,
  type Store,
} from '../../src/index.ts'
import { storeFromUrl } from '../../src/stores/url.ts'
import { KEY, serve } from '../support/sites/http.ts'
import { PATIENCE } from '../support/stores/records.ts'
import { recordingStore } from '../support/stores/recording-store.ts'
import { namesOf } from '../support/stores/subjects.ts'
import { redisServer, type RedisServer } from '../support/servers/redis-server.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

let redis: RedisServer
before(async () => {
  redis = await redisServer()
})
after(() => redis.stop())

const STORES: Record<string, (test: TestContext) => string> = {
  memory: () => 'memory:',
  files: () => `file:${temporaryDirectory()}`,
  Redis: () => `redis://127.0.0.1:${redis.port}?prefix=${Math.random()}:&deadline=${PATIENCE}`,
}

/** A visitor's browser, as far as the session goes. */
interface Visitor {
  get(path: string): Promise<unknown>
  cookie(): string
}

interface Site {
  readonly sessions: Sessions
  readonly visitor: () => Visitor
}

/** A site where one signs in by `/in?user&label`. */
async function siteOn(test: TestContext, store: Store, options: SessionOptions = {}): Promise<Site> {
  const app = new Koa()
  app.silent = true
  const sessions = session({ keys: [KEY], store, ...options })
  test.after(() => sessions.close())
  app.use(sessions)
  app.use(async (ctx) => {
    const { user, label } = ctx.query as { user: string; label?: string }
    if (ctx.path === '/in') {
      await ctx.session.regenerate()
      ctx.session.identify(user, label)
    } else if (ctx.path === '/rotate') await ctx.session.regenerate({ keep: true })
    else if (ctx.path === '/out') await ctx.session.destroy()
    else if (ctx.path === '/devices') ctx.body = await sessions.list(user)
    ctx.body ??= { isNew: ctx.session.isNew, id: ctx.session.id }
  })
  const { port } = await serve(test, app)
  return {
    sessions,
    visitor() {
      let cookie = ''
      return {
        cookie: () => cookie,
        async get(path) {
          const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { cookie } })
          cookie = response.headers.getSetCookie()[0]?.split(';')[0] ?? cookie
          const text = await response.text()
          return response.ok ? JSON.parse(text) : response.status
        },
      }
    },
  }
}

async function closing(test: TestContext, url: string): Promise<Store> {
  const store = storeFromUrl(url)
  test.after(() => store.close?.())
  return store
}

for (const [name, urlOf] of Object.entries(STORES)) {
  describe(`a user’s sessions, on ${name}`, () => {
    it('are listed with their labels, and the one that asks is marked', async (test) => {
      const { visitor } = await siteOn(test, await closing(test, urlOf(test)))
      const [phone, laptop, stranger] = [visitor(), visitor(), visitor()]
      await phone.get('/in?user=ada&label=phone')
      await laptop.get('/in?user=ada&label=laptop')
      await stranger.get('/in?user=bob')
      const devices = (await phone.get('/devices?user=ada')) as { label: string; isCurrent: boolean; id: string }[]
      assert.deepEqual(devices.map(({ label, isCurrent }) => [label, isCurrent]).sort(), [
        ['laptop', false],
        ['phone', true],
      ])
      assert.deepEqual(await phone.get('/devices?user=nobody'), [])
    })

    it('end by revoke, and all but one by revokeAll', async (test) => {
      const { sessions, visitor } = await siteOn(test, await closing(test, urlOf(test)))
      const visitors = [visitor(), visitor(), visitor(), visitor()]
      const ids: string[] = []
      for (const each of visitors) ids.push(((await each.get('/in?user=ada')) as { id: string }).id)
      assert.equal(await sessions.revoke(ids[0] as string), true)
      assert.equal(await sessions.revoke(ids[0] as string), false)
      assert.equal(await sessions.revokeAll('ada', { except: ids[1] as string }), 2)
      const live = await Promise.all(visitors.map(async (each) => !((await each.get('/')) as { isNew: boolean }).isNew))
      assert.deepEqual(live, [false, true, false, false])
      assert.deepEqual(
        (await sessions.list('ada')).map(({ id }) => id),
        [ids[1]],
      )
    })

    it('follow a new id, another sign-in and a sign-out', async (test) => {
      const { sessions, visitor } = await siteOn(test, await closing(test, urlOf(test)))
      const ada = visitor()
      await ada.get('/in?user=ada&label=phone')
      const { id } = (await ada.get('/rotate')) as { id: string }
      assert.deepEqual(
        (await sessions.list('ada')).map((each) => [each.id, each.label]),
        [[id, 'phone']],
      )
      await ada.get('/in?user=bob')
      assert.deepEqual([(await sessions.list('ada')).length, (await sessions.list('bob')).length], [0, 1])
      await ada.get('/out')
      assert.equal((await sessions.list('bob')).length, 0)
    })

    it('are mended where a crash left a note without a session', async (test) => {
      const store = await closing(test, urlOf(test))
      const { sessions, visitor } = await siteOn(test, store)
      const ada = visitor()
      const { id } = (await ada.get('/in?user=ada')) as { id: string }
      await store.delete(id) // as when a process dies between the two: the note is still there
      const other = (await ada.get('/in?user=ada')) as { id: string }
      assert.deepEqual(
        (await sessions.list('ada')).map((each) => each.id),
        [other.id],
      )
    })

    it('are revoked while a request of theirs is still writing', async (test) => {
      const { sessions, visitor } = await siteOn(test, await closing(test, urlOf(test)))
      for (let trial = 0; trial < 20; trial++) {
        const ada = visitor()
        await ada.get('/in?user=ada')
        await Promise.all([ada.get('/rotate'), sessions.revokeAll('ada')])
        assert.deepEqual(await ada.get('/devices?user=ada'), [])
      }
    })
  })
}

describe('ten thousand sessions of one user', () => {
  it('are listed and revoked while others have their turns', async (test) => {
    const store = memoryStore()
    test.after(() => store.close?.())
    const { sessions, visitor } = await siteOn(test, store)
    const { id } = (await visitor().get('/in?user=ada')) as { id: string }
    const found = await store.load(id)
    const [subject] = namesOf('ada')
    for (let n = 0; n < 9_999; n++) {
      const key = n.toString(16).padStart(64, '0')
      await store.save(key, found?.text as string, found?.expiresAt as number, undefined)
      await store.subjects?.add(subject as string, key, found?.expiresAt as number)
    }
    let turns = 0
    const timer = setInterval(() => turns++, 0)
    test.after(() => clearInterval(timer))
    assert.equal((await sessions.list('ada')).length, 10_000)
    assert.equal(await sessions.revokeAll('ada'), 10_000)
    assert.ok(turns > 10, `${turns} turns`)
  })
})

/** Under which names of ada's the store has noted this key. */
async function noted(store: Store, id: string, user = 'ada'): Promise<Set<string>> {
  const names = new Set<string>()
  for (const name of namesOf(user)) {
    for await (const key of store.subjects?.keys(name) ?? []) if (key === id) names.add(name)
  }
  return names
}

describe('a store that cannot list', () => {
  it('says so where identify is saved, and where a list is asked for', async (test) => {
    const { load, save, touch, delete: remove } = memoryStore({ pruneInterval: 0 })
    const { sessions, visitor } = await siteOn(test, { load, save, touch, delete: remove })
    assert.equal(await visitor().get('/in?user=ada'), 500)
    await assert.rejects(sessions.list('ada'), (error) => isSessionError(error, 'ERR_SESSION_OPTION'))
    await assert.rejects(sessions.revokeAll('ada'), (error) => isSessionError(error, 'ERR_SESSION_OPTION'))
  })
})

describe('sessions.revoke', () => {
  it('takes back the note of whose session it was', async (test) => {
    const store = await closing(test, 'memory:')
    const { sessions, visitor } = await siteOn(test, store)
    const [lost, kept] = [visitor(), visitor()]
    const { id } = (await lost.get('/in?user=ada')) as { id: string }
    const { id: keptId } = (await kept.get('/in?user=ada')) as { id: string }
    assert.equal(await sessions.revoke(id), true)
    assert.equal(await sessions.revoke(id), false)
    assert.deepEqual((await noted(store, id)).size, 0)
    assert.deepEqual((await noted(store, keptId)).size, 1)
  })

  it('ends a session only if it is that user’s, if it is told whose', async (test) => {
    const { sessions, visitor } = await siteOn(test, await closing(test, 'memory:'))
    const { id } = (await visitor().get('/in?user=ada')) as { id: string }
    const { id: strangers } = (await visitor().get('/')) as { id: string }
    assert.equal(await sessions.revoke(id, { subject: 'eve' }), false)
    assert.equal(await sessions.revoke(strangers, { subject: 'ada' }), false)
    assert.equal((await sessions.list('ada')).length, 1)
    assert.equal(await sessions.revoke(id, { subject: 'ada' }), true)
    assert.equal(await sessions.revoke(id, { subject: 'ada' }), false)
  })
})

describe('what is no user', () => {
  const said: [what: string, subject: unknown, message: RegExp][] = [
    ['a number', 42, /the subject must be a string, not a number\. Write .*String\(user\.id\)/],
    ['a bigint', 42n, /must be a string, not a bigint\. Write/],
    ['nobody', undefined, /not undefined\. Is somebody signed in\?/],
    ['null', null, /not null\. Is somebody signed in\?/],
    ['an empty text', '', /a string that is not empty/],
    ['a user’s record', { id: 42 }, /not an Object/],
    ['a list', ['ada'], /not a list/],
    ['what was not awaited', Promise.resolve('ada'), /Await it first/],
    ['half a surrogate pair', 'jos\ud800', /well-formed text/],
    ['another half', '\udc00', /well-formed text/],
  ]
  for (const [what, subject, message] of said) {
    it(`is ${what}: identify, list, revoke and revokeAll say so, and the index is not touched`, async (test) => {
      const store = await closing(test, 'memory:')
      const { sessions, visitor } = await siteOn(test, store)
      const { id } = (await visitor().get('/in?user=42')) as { id: string }
      const calls = {
        'sessions.list': () => sessions.list(subject as string),
        'sessions.revoke': () => sessions.revoke(id, { subject: subject as string }),
        'sessions.revokeAll': () => sessions.revokeAll(subject as string),
        'session.identify': async () =>
          runWithSession(await anySession(sessions), () => getSession().identify(subject as string)),
      }
      for (const [method, call] of Object.entries(calls)) {
        await assert.rejects(call, (error) => {
          assert.ok(isSessionError(error, 'ERR_SESSION_OPTION'), `${method}: ${String(error)}`)
          assert.ok(error.message.startsWith(`${method}: `), error.message)
          assert.match(error.message, message)
          return true
        })
      }
      assert.equal((await sessions.list('42')).length, 1)
      assert.equal(await sessions.revokeAll('42'), 1)
    })
  }

  it('is told from U+FFFD, as which all broken texts would be hashed', async (test) => {
    const { sessions, visitor } = await siteOn(test, await closing(test, 'memory:'))
    await visitor().get(`/in?user=${encodeURIComponent('jos\ufffd')}`)
    await assert.rejects(sessions.list('jos\ud800'))
    assert.equal((await sessions.list('jos\ufffd')).length, 1)
  })
})

describe('the other arguments of revoke and revokeAll', () => {
  const ID = 'a'.repeat(64)
  const said: [call: string, args: unknown[], message: RegExp][] = [
    ['revoke', ['ada'], /^sessions\.revoke: the id must be the public id of a session/],
    ['revoke', [''], /must be the public id/],
    ['revoke', [undefined], /must be the public id/],
    ['revoke', [5], /must be the public id/],
    ['revoke', [ID, 'ada'], /^sessions\.revoke: the second argument must be an object: write \{ subject \}/],
    ['revoke', [ID, { user: 'ada' }], /^sessions\.revoke: user is not an option; there are subject/],
    ['revoke', [ID, { subjet: 'ada' }], /did you mean subject\?/],
    ['revokeAll', ['ada', ID], /^sessions\.revokeAll: the second argument must be an object: write \{ except: id \}/],
    ['revokeAll', ['ada', [ID]], /must be an object/],
    ['revokeAll', ['ada', { exept: ID }], /exept is not an option; did you mean except\?/],
    ['revokeAll', ['ada', { exclude: ID }], /exclude is not an option\. Write except\./],
    ['revokeAll', ['ada', { except: 'sid=…' }], /except must be the public id of a session, or a list of them/],
    ['revokeAll', ['ada', { except: [ID, undefined] }], /except must be/],
    ['revokeAll', ['ada', { except: null }], /except must be/],
  ]
  for (const [call, args, message] of said) {
    const shown = inspect(args, { breakLength: Infinity }).replaceAll(ID, 'id').slice(2, -2)
    it(`are refused as ${call}(${shown})`, async (test) => {
      const { sessions, visitor } = await siteOn(test, await closing(test, 'memory:'))
      await visitor().get('/in?user=ada')
      const method = sessions[call as 'revoke'] as (...args: unknown[]) => Promise<unknown>
      await assert.rejects(method(...args), (error) => {
        assert.ok(isSessionError(error, 'ERR_SESSION_OPTION'), String(error))
        assert.match(error.message, message)
        assert.ok(!error.message.includes('ada') && !error.message.includes(ID))
        return true
      })
      assert.equal((await sessions.list('ada')).length, 1)
    })
  }

  it('may be absent', async (test) => {
    const { sessions, visitor } = await siteOn(test, await closing(test, 'memory:'))
    const { id } = (await visitor().get('/in?user=ada')) as { id: string }
    await visitor().get('/in?user=ada')
    assert.equal(await sessions.revoke(id, {}), true)
    assert.equal(await sessions.revokeAll('ada', { except: [] }), 1)
  })
})

describe('two applications on one store', () => {
  it('have users of their own: by their cookies’ names, or by their keys', async (test) => {
    const store = await closing(test, 'memory:')
    const shop = await siteOn(test, store, { cookie: { name: 'shop' } })
    const others = [
      await siteOn(test, store, { cookie: { name: 'admin' } }),
      await siteOn(test, store, { cookie: { name: 'shop' }, keys: ['another signing key, and long enough'] }),
      await siteOn(test, store, { cookie: { name: 'shop' }, keys: new Keygrip([KEY], 'sha256') }),
    ]
    const { id } = (await shop.visitor().get('/in?user=1&label=customer')) as { id: string }
    for (const { sessions, visitor } of others) {
      await visitor().get('/in?user=1&label=other')
      assert.deepEqual(
        (await sessions.list('1')).map(({ label }) => label),
        ['other'],
      )
      assert.equal(await sessions.revoke(id, { subject: '1' }), false)
      assert.equal(await sessions.revokeAll('1'), 1)
    }
    assert.deepEqual(
      (await shop.sessions.list('1')).map(({ label }) => label),
      ['customer'],
    )
  })

  it('share their users if they have the same keys and the same cookie', async (test) => {
    for (const keys of [[KEY], new Keygrip([KEY], 'sha256')]) {
      const store = await closing(test, 'memory:')
      const [one, other] = [await siteOn(test, store, { keys }), await siteOn(test, store, { keys })]
      await one.visitor().get('/in?user=ada')
      assert.equal((await other.sessions.list('ada')).length, 1)
      assert.equal(await other.sessions.revokeAll('ada'), 1)
    }
  })
})

describe('a rotation of the signing keys', () => {
  const NEW = 'a newer signing key for tests, and long'

  it('keeps everybody listable, whoever has come since', async (test) => {
    const store = await closing(test, 'memory:')
    const { sessions, visitor } = await siteOn(test, store)
    const [sleeping, active] = [visitor(), visitor()]
    await sleeping.get('/in?user=ada&label=sleeping')
    await active.get('/in?user=ada&label=active')
    sessions.rotate([NEW, KEY])
    const labels = async (): Promise<unknown[]> => (await sessions.list('ada')).map(({ label }) => label).sort()
    assert.deepEqual(await labels(), ['active', 'sleeping'])
    await active.get('/') // its cookie is signed anew
    assert.deepEqual(sessions.stats().resigned, [0, 1])
    assert.deepEqual(await labels(), ['active', 'sleeping'])
    // The old key is retired: its cookies are no longer accepted, and what was signed anew is still listed.
    sessions.rotate([NEW])
    assert.deepEqual(await labels(), ['active'])
    assert.equal(await sessions.revokeAll('ada'), 1)
  })

  it('signs no cookie anew whose session cannot be noted under the newest key', async (test) => {
    const store = recordingStore()
    const { sessions, visitor } = await siteOn(test, store)
    const ada = visitor()
    await ada.get('/in?user=ada')
    const cookie = ada.cookie()
    sessions.rotate([NEW, KEY])
    store.failAll('add')
    assert.equal(((await ada.get('/')) as { isNew: boolean }).isNew, false)
    assert.equal(ada.cookie(), cookie)
    store.mend()
    await ada.get('/')
    assert.notEqual(ada.cookie(), cookie)
    sessions.rotate([NEW])
    assert.equal((await sessions.list('ada')).length, 1)
  })
})

describe('keys that only a request shows', () => {
  it('are missed by list, revokeAll and revoke of a user until then, which say so', async (test) => {
    const store = await closing(test, 'memory:')
    const before = await siteOn(test, store, { keys: [KEY], encrypt: true })
    const ada = before.visitor()
    const { id } = (await ada.get('/in?user=ada')) as { id: string }
    const app = new Koa()
    app.silent = true
    app.keys = [KEY]
    const sessions = session({ store, encrypt: true })
    test.after(() => sessions.close())
    app.use(sessions)
    app.use((ctx) => (ctx.body = ctx.session.isNew))
    const { port } = await serve(test, app)
    const calls = {
      'sessions.list': () => sessions.list('ada'),
      'sessions.revokeAll': () => sessions.revokeAll('ada'),
      'sessions.revoke': () => sessions.revoke(id, { subject: 'ada' }),
    }
    for (const [method, call] of Object.entries(calls)) {
      await assert.rejects(call, (error) => {
        assert.ok(isSessionError(error, 'ERR_SESSION_OPTION'))
        assert.match(error.message, new RegExp(`${method} has no keys yet.*Pass session\\(\\{ keys \\}\\)`))
        return true
      })
    }
    await (await fetch(`http://127.0.0.1:${port}/`)).text()
    assert.equal((await sessions.list('ada')).length, 1)
    assert.equal(await sessions.revokeAll('ada'), 1)
    assert.equal(((await ada.get('/')) as { isNew: boolean }).isNew, true)
  })
})

/** A session over which no request is under way. */
async function anySession(sessions: Sessions): Promise<Session> {
  const app = new Koa()
  let made: Session | undefined
  app.use(sessions)
  app.use((ctx) => {
    made = ctx.session
    ctx.body = ''
  })
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  await (await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)).text()
  server.close()
  return made as Session
}

describe('sessions.list in a request whose session could not be loaded', () => {
  it('rejects, and does not throw where it is called', async (test) => {
    const store = memoryStore()
    const { visitor, sessions } = await siteOn(test, store)
    const ada = visitor()
    await ada.get('/in?user=ada')
    const app = new Koa()
    app.silent = true
    const failing = session({ keys: [KEY], store: { ...store, load: () => Promise.reject(new Error('down')) } })
    test.after(() => failing.close())
    app.use(failing)
    app.use((ctx) => {
      const listed = failing.list('ada') // throwing here would fail the request
      listed.catch(() => {})
      ctx.body = listed instanceof Promise
    })
    const { port } = await serve(test, app)
    const [{ id } = { id: '' }] = await sessions.list('ada')
    assert.notEqual(id, '')
    const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { cookie: ada.cookie() } })
    assert.deepEqual([response.status, await response.text()], [200, 'true'])
  })
})
