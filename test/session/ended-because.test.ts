import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it, type TestContext } from 'node:test'
import { inspect } from 'node:util'
import Koa from 'koa'
import { isSessionError, memoryStore, session, type Sessions, type Store } from '../../src/index.ts'
import { signIn, type SignedIn } from '../../src/tools/testing.ts'
import { KEY, serve, sessionOf } from '../support/sites/http.ts'
import { recordingStore, type RecordingStore } from '../support/stores/recording-store.ts'
import { keysOf } from '../support/stores/stores.ts'
import { visits } from '../support/visit.ts'

interface Site {
  readonly sessions: Sessions
  signedIn(label?: string): Promise<SignedIn>
  /** What a page that comes with this cookie says of the end, and whether it set a cookie. */
  visit(visitor: SignedIn, path?: string): Promise<{ because: string | null; sent: string[] }>
}

async function siteOn(test: TestContext, store: Store = memoryStore({ pruneInterval: 0 })): Promise<Site> {
  const sessions = session({ keys: [KEY], store })
  test.after(() => sessions.close())
  const app = new Koa()
  app.silent = true
  app.use(sessions)
  app.use(async (ctx) => {
    if (ctx.path === '/sign-in') await ctx.session.regenerate()
    if (ctx.path === '/write') sessionOf(ctx)['views'] = 1
    ctx.body = { because: ctx.session.endedBecause ?? null }
  })
  const { port } = await serve(test, app)
  return {
    sessions,
    signedIn: (label = 'phone') => signIn(sessions, (visitor) => visitor.identify('ada', label)),
    async visit({ headers }, path = '/') {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers })
      return { ...((await response.json()) as { because: string | null }), sent: response.headers.getSetCookie() }
    },
  }
}

describe('session.endedBecause', () => {
  it('tells a visitor whom a limit has signed out', async (test) => {
    const { sessions, signedIn, visit } = await siteOn(test)
    const first = await signedIn()
    await signIn(sessions, (visitor) => void visitor.identify('ada', { max: 1 }))
    assert.deepEqual(await visit(first), { because: 'limit', sent: [] })
    assert.deepEqual(await visit(first), { because: 'limit', sent: [] }, 'and again, until there is a new session')
  })

  it('tells what revoke and revokeAll were given, and nothing if they were given nothing', async (test) => {
    const { sessions, signedIn, visit } = await siteOn(test)
    const [lost, sold, stolen, other] = [await signedIn(), await signedIn(), await signedIn(), await signedIn()]
    assert.equal(await sessions.revoke(lost.id, { because: 'lost' }), true)
    assert.equal(await sessions.revoke(sold.id, { subject: 'ada', because: 'sold' }), true)
    assert.equal(await sessions.revokeAll('ada', { except: other.id, because: 'password "changed"' }), 1)
    assert.equal(await sessions.revoke(other.id), true)
    const told = await Promise.all([lost, sold, stolen, other].map((each) => visit(each)))
    assert.deepEqual(
      told.map(({ because }) => because),
      ['lost', 'sold', 'password "changed"', null],
    )
  })

  it('is undefined for everybody else, and once there is a new session', async (test) => {
    const { sessions, signedIn, visit } = await siteOn(test)
    const [here, gone] = [await signedIn(), await signedIn()]
    assert.equal((await visit(here)).because, null)
    await sessions.revoke(gone.id, { because: 'lost' })
    const { because, sent } = await visit(gone, '/sign-in')
    assert.deepEqual([because, sent.length], [null, 1])
    assert.equal((await visit(gone, '/write')).sent.length, 1, 'the visitor may begin a new one as anybody')
  })

  it('counts no visitor as suspicious who was told', async (test) => {
    const { sessions, signedIn, visit } = await siteOn(test)
    const gone = await signedIn()
    await sessions.revoke(gone.id, { because: 'lost' })
    await visit(gone)
    assert.equal(sessions.stats().suspicious, 0)
  })

  it('cannot be data, and no reason is too long to be shown', async (test) => {
    const { sessions, signedIn } = await siteOn(test)
    const { id } = await signedIn()
    const refused: [because: unknown, message: RegExp][] = [
      ['', /because must be a string of 1 to 100 characters.*not an empty one/],
      [42, /not a number/],
      ['a'.repeat(101), /because must be/],
      ['\ud800', /because must be/],
      [null, /not null/],
    ]
    for (const [because, message] of refused) {
      for (const call of [
        () => sessions.revoke(id, { because: because as string }),
        () => sessions.revokeAll('ada', { because: because as string }),
      ])
        await assert.rejects(call, (error) => {
          assert.ok(isSessionError(error, 'ERR_SESSION_OPTION'), inspect(because))
          assert.match(error.message, message)
          return true
        })
    }
    await assert.rejects(sessions.revoke(id, { reason: 'lost' } as object), /reason is not an option\. Write because\./)
    assert.equal((await sessions.list('ada')).length, 1)
  })
})

const ENDS: Record<string, (sessions: Sessions, id: string) => Promise<unknown>> = {
  'revoke by its id': (sessions, id) => sessions.revoke(id, { because: 'lost' }),
  'revoke of its user': (sessions, id) => sessions.revoke(id, { subject: 'ada', because: 'lost' }),
  revokeAll: (sessions) => sessions.revokeAll('ada', { because: 'lost' }),
  'a limit': (sessions) => signIn(sessions, (visitor) => void visitor.identify('ada', { max: 1 })),
}

describe('a session that was ended with a reason', () => {
  it('is no session for list, revoke, revokeAll and a limit', async (test) => {
    const { sessions, signedIn } = await siteOn(test)
    const { id } = await signedIn()
    await sessions.revokeAll('ada', { because: 'lost' })
    assert.deepEqual(await sessions.list('ada'), [])
    assert.equal(await sessions.revoke(id), false)
    assert.equal(await sessions.revoke(id, { because: 'again' }), false)
    assert.equal(await sessions.revoke(id, { subject: 'ada' }), false)
    assert.equal(await sessions.revokeAll('ada', { because: 'again' }), 0)
    await signIn(sessions, (visitor) => void visitor.identify('ada', { max: 1, over: 'refuse' }))
    assert.equal((await sessions.list('ada')).length, 1)
  })

  it('is known for as long as it would have lived, and for a day at most', async (test) => {
    const store = memoryStore({ pruneInterval: 0 })
    const { sessions, signedIn } = await siteOn(test, store)
    const short = await signedIn()
    const long = await signIn(sessions, (visitor) => {
      visitor.remember(30 * 24 * 60 * 60_000)
      visitor.identify('ada')
    })
    const until = (await store.load(short.id))!.expiresAt
    const before = Date.now()
    await sessions.revokeAll('ada', { because: 'lost' })
    assert.equal((await store.load(short.id))!.expiresAt, until)
    const { expiresAt } = (await store.load(long.id))!
    assert.ok(expiresAt >= before + 24 * 60 * 60_000 && expiresAt <= Date.now() + 24 * 60 * 60_000)
  })

  it('is for a release without reasons one whose id was replaced long ago', async (test) => {
    const store = memoryStore({ pruneInterval: 0 })
    const { sessions, signedIn } = await siteOn(test, store)
    const { id } = await signedIn()
    await sessions.revoke(id, { because: 'lost' })
    assert.equal((await store.load(id))!.text, '{"replaced":1,"at":0,"wasHeld":false,"endedBecause":"lost"}')
  })

  for (const [how, end] of Object.entries(ENDS)) {
    it(`is as final as a delete, whatever was under way: ${how}`, async (test) => {
      for (const what of ['save', 'update', 'touch', 'regenerate'] as const) {
        const store = recordingStore()
        const made = visits({ store })
        const { sessions } = await siteOn(test, store.elsewhere)
        const { id } = await signIn(sessions, (visitor) => visitor.identify('ada'))
        const visit = await made.returning(id)
        const { found } = visit.copy
        const held = store.hold(what === 'touch' ? 'touch' : 'save')
        visit.session['late'] = 1
        const doing = {
          save: () => visit.session.save(),
          update: () => visit.session.update((fresh) => void (fresh['late'] = 2)),
          touch: async () => void (await store.touch(id, found!.expiresAt + 1)),
          regenerate: () => visit.session.regenerate({ keep: true }),
        }[what]()
        doing.catch(() => {})
        await held.arrived
        await end(sessions, id)
        held.release()
        if (what === 'touch') await doing
        else await assert.rejects(doing, { code: 'ERR_SESSION_GONE' }, what)
        const left = (await sessions.list('ada')).map((each) => each.id)
        assert.deepEqual(left.length, how === 'a limit' ? 1 : 0, what)
        await assert.rejects(made.returning(id), /There is no such session: ended/, what)
        const records = (await keysOf(store.elsewhere)).filter((key) => key !== id && !left.includes(key))
        assert.deepEqual(records, [], what)
      }
    })
  }

  it('is ended all the same if somebody writes to it all the time', async (test) => {
    const store: RecordingStore = recordingStore()
    const { sessions } = await siteOn(test, store)
    for (const revoke of [
      (id: string) => sessions.revoke(id, { because: 'lost' }),
      () => sessions.revokeAll('ada', { because: 'lost' }),
    ]) {
      const { id } = await signIn(sessions, (visitor) => visitor.identify('ada'))
      let isOver = false
      const revoking = revoke(id).finally(() => (isOver = true))
      for (let held = store.hold('save'); !isOver; held = store.hold('save')) {
        await Promise.race([held.arrived, revoking])
        const found = await store.elsewhere.load(id)
        if (found && !isOver) await store.elsewhere.save(id, found.text, found.expiresAt, found)
        held.release()
      }
      store.mend()
      await revoking
      assert.deepEqual(await sessions.list('ada'), [])
    }
  })
})

describe('the reason of session.signal', () => {
  it('says why, in the process that has ended the session and in another one', async (test) => {
    const alive = setInterval(() => {}, 1000) // the timers of signals keep no process alive
    test.after(() => clearInterval(alive))
    const store = recordingStore({ power: 'watch' })
    const [here, there] = [visits({ store }), visits({ store })]
    for (const made of [here, there]) {
      const key = await here.stored({ a: 1 })
      const { session } = await made.returning(key)
      const { signal } = session
      const aborted = once(signal, 'abort')
      await here.lifecycle.subjects.revoke(key, undefined, 'lost')
      for (const { saved } of store.listeners) saved(key, 99)
      await aborted
      assert.ok(isSessionError(signal.reason, 'ERR_SESSION_ENDED'))
      assert.equal(signal.reason.endedBecause, 'lost')
      assert.ok(!signal.reason.message.includes('lost'))
    }
    const key = await here.stored({ a: 1 })
    const { signal } = (await here.returning(key)).session
    await here.lifecycle.subjects.revoke(key)
    assert.equal((signal.reason as { endedBecause?: string }).endedBecause, undefined)
    await Promise.all([here.signals.close(), there.signals.close()])
  })
})
