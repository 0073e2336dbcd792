import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { bodyParser } from '@koa/bodyparser'
import Router from '@koa/router'
import koaPassport from 'koa-passport'
import { Strategy as PasswordStrategy } from 'passport-local'
import { getSession, memoryStore, type SessionOptions } from '../../src/index.ts'
import { companionSite, type CompanionSite } from '../support/sites/companion-site.ts'
import { currentSession, sessionOf } from '../support/sites/http.ts'
import { recordingStore } from '../support/stores/recording-store.ts'
import { assertHides } from '../support/secrecy.ts'
import { keysOf } from '../support/stores/stores.ts'
import type { Reply } from '../support/clients/agent.ts'
import type { Visitor } from '../support/clients/visitor.ts'

interface User {
  readonly id: number
  readonly name: string
}
const ADA: User = { id: 1, name: 'ada' }
const BOB: User = { id: 2, name: 'bob' }
const PASSWORD = 'a password for tests'
const DAY = 86_400_000

/** Passport as its own documentation sets it up, and a page for each thing that a visitor may do. */
function loginSite(
  test: TestContext,
  options: SessionOptions = {},
  { users = [ADA, BOB], arrived }: { users?: User[]; arrived?: () => Promise<void> } = {},
): Promise<CompanionSite> {
  const passport = new koaPassport.KoaPassport()
  passport.use(
    new PasswordStrategy(async (name, password, done) => {
      await arrived?.()
      const user = users.find((one) => one.name === name)
      done(null, password === PASSWORD && user, { message: 'No such name and password.' })
    }),
  )
  passport.serializeUser((user, done) => done(null, (user as User).id))
  passport.deserializeUser((id, done) => done(null, users.find((one) => one.id === id) ?? false))

  const router = new Router()
  router.get('/', (ctx) => {
    const { passport: _passport, ...data } = sessionOf(ctx)
    ctx.body = { user: (ctx.state['user'] as User | undefined)?.name ?? null, data }
  })
  router.post('/cart', (ctx) => {
    sessionOf(ctx)['cart'] = ['tea']
    ctx.body = ''
  })
  router.post('/login', passport.authenticate('local', { successRedirect: '/', failureMessage: true }))
  router.post('/login/flash', passport.authenticate('local', { failureFlash: true, failureRedirect: '/flash' }))
  router.get('/flash', (ctx) => {
    ctx.body = { error: ctx.session.flash('error') }
  })
  router.post('/login/keep', passport.authenticate('local', { successRedirect: '/', keepSessionInfo: true }))
  router.post('/login/remember', passport.authenticate('local'), (ctx) => {
    getSession().remember({ idleTimeout: 14 * DAY, absoluteTimeout: 30 * DAY })
    ctx.redirect('/')
  })
  router.post('/login/by-hand', (ctx, next) =>
    passport.authenticate('local', async (_error: unknown, user: User | false) => {
      if (!user) ctx.throw(401, 'Not with that password.')
      await ctx.login(user)
      currentSession()['since'] = new Date(0)
      ctx.body = String(ctx.isAuthenticated())
    })(ctx, next),
  )
  router.post('/logout', async (ctx) => {
    await ctx.logout()
    ctx.redirect('/')
  })
  router.post('/logout/keep', async (ctx) => {
    await (ctx.logout as (options: object) => Promise<void>)({ keepSessionInfo: true })
    ctx.redirect('/')
  })
  router.post('/logout/end', async (ctx) => {
    await ctx.logout()
    await ctx.session.destroy()
    ctx.redirect('/')
  })
  return companionSite(test, options, (app, sessions) => {
    app.use(sessions)
    app.use(bodyParser())
    app.use(passport.initialize())
    app.use(passport.session())
    app.use((ctx, next) => {
      ctx['flash'] = (key: string, message: string): void => ctx.session.flash(key, message)
      return next()
    })
    app.use(router.routes())
  })
}

/** Who the visitor is for the site, and what else is in the session. */
async function state(visitor: Visitor): Promise<{ user: string | null; data: Record<string, unknown> }> {
  return JSON.parse((await visitor.visit('/')).text) as never
}

function login(visitor: Visitor, path = '/login', username: string = ADA.name): Promise<Reply> {
  return visitor.post(path, { username, password: PASSWORD })
}

/** Lets nobody pass before so many have come, and then so many again. */
function meeting(size: number): () => Promise<void> {
  const waiting: (() => void)[] = []
  return () =>
    new Promise((resolve) => {
      waiting.push(resolve)
      if (waiting.length === size) for (const pass of waiting.splice(0)) pass()
    })
}

describe('koa-passport with passport-local: a login', () => {
  it('is remembered by the session, under a new id; the cookie from before it is worth nothing', async (test) => {
    const { visitor } = await loginSite(test)
    const [ada, thief] = [visitor(), visitor()]
    await ada.post('/cart', {})
    thief.cookies.set('sid', ada.cookies.get('sid') ?? '')
    assert.deepEqual((await state(thief)).data, { cart: ['tea'] })

    const page = await login(ada)
    assert.deepEqual([page.status, page.headers.location], [302, '/'])
    assert.deepEqual(await state(ada), { user: 'ada', data: {} })
    assert.deepEqual(await state(thief), { user: null, data: {} })
  })

  it('keeps what was in the session with keepSessionInfo', async (test) => {
    const { visitor } = await loginSite(test)
    const ada = visitor()
    await ada.post('/cart', {})
    const before = ada.cookies.get('sid')
    await login(ada, '/login/keep')
    assert.notEqual(ada.cookies.get('sid'), before)
    assert.deepEqual(await state(ada), { user: 'ada', data: { cart: ['tea'] } })
  })

  it('is kept for weeks with session.remember() after it', async (test) => {
    const { visitor } = await loginSite(test)
    const ada = visitor()
    const page = await login(ada, '/login/remember')
    const [cookie = '', ...others] = page.cookies
    assert.deepEqual(others, [])
    const maxAge = Number(/; Max-Age=(\d+)/.exec(cookie)?.[1])
    assert.ok(maxAge > 29.9 * 86_400 && maxAge <= 30 * 86_400, `${maxAge} seconds`)
    assert.equal((await state(ada)).user, 'ada')
  })

  it('by ctx.login() in a custom callback goes on in the new session', async (test) => {
    const { visitor } = await loginSite(test)
    const ada = visitor()
    await ada.post('/cart', {})
    assert.equal((await login(ada, '/login/by-hand')).text, 'true')
    assert.deepEqual(await state(ada), { user: 'ada', data: { since: new Date(0).toISOString() } })
  })

  it('that fails leaves the session and its cookie alone, and may leave a message in it', async (test) => {
    const { visitor } = await loginSite(test)
    const mallory = visitor()
    await mallory.post('/cart', {})
    const before = mallory.cookies.get('sid')
    const page = await mallory.post('/login', { username: 'ada', password: 'guessed' })
    assert.deepEqual([page.status, page.cookies], [401, []])
    assert.equal((await mallory.post('/login/by-hand', { username: 'ada', password: 'guessed' })).status, 401)
    assert.equal(mallory.cookies.get('sid'), before)
    assert.deepEqual(await state(mallory), {
      user: null,
      data: { cart: ['tea'], messages: ['No such name and password.'] },
    })
  })

  it('that fails may flash its message, with a line that lends passport the flash of the session', async (test) => {
    const { visitor } = await loginSite(test)
    const ada = visitor()
    await ada.post('/login/flash', { username: 'ada', password: 'guessed' })
    const flashed = async (): Promise<unknown> => JSON.parse((await ada.visit('/flash')).text)
    assert.deepEqual([await flashed(), await flashed()], [{ error: 'No such name and password.' }, {}])
  })

  it('that fails makes no session for a stranger if there is nothing to say', async (test) => {
    const store = memoryStore({ pruneInterval: 0 })
    const { visitor } = await loginSite(test, { store })
    const page = await visitor().post('/login/by-hand', { username: 'ada', password: 'guessed' })
    assert.deepEqual([page.status, page.cookies, await keysOf(store)], [401, [], []])
  })

  it('of two strangers, and of one stranger twice at once, gives each a session', async (test) => {
    const { visitor } = await loginSite(test, {}, { arrived: meeting(2) })
    const [ada, bob] = [visitor(), visitor()]
    await Promise.all([login(ada), login(bob, '/login', 'bob')])
    assert.deepEqual([(await state(ada)).user, (await state(bob)).user], ['ada', 'bob'])
    const twice = visitor()
    const pages = await Promise.all([login(twice), login(twice)])
    assert.deepEqual(
      pages.map(({ status }) => status),
      [302, 302],
    )
    assert.equal((await state(twice)).user, 'ada')
  })

  it('twice at once from one session: the later one goes through, and the other gets 409 and takes nothing away', async (test) => {
    const store = memoryStore({ pruneInterval: 0 })
    const { visitor } = await loginSite(test, { store }, { arrived: meeting(2) })
    const ada = visitor()
    await ada.post('/cart', {})
    const pages = await Promise.all([login(ada), login(ada)])
    assert.deepEqual(pages.map(({ status }) => status).toSorted(), [302, 409])
    const overtaken = pages.find(({ status }) => status === 409)
    assert.deepEqual(overtaken?.cookies, [])
    assert.equal((await state(ada)).user, 'ada')
    assert.equal((await keysOf(store)).length, 1)
  })

  it('a second time, because the answer to the first click was thrown away, goes through and leaves one session', async (test) => {
    const store = memoryStore({ pruneInterval: 0 })
    const { visitor } = await loginSite(test, { store })
    const ada = visitor()
    await ada.post('/cart', {})
    const before = ada.cookies.get('sid') ?? ''
    await login(ada)
    ada.cookies.set('sid', before)
    assert.equal((await login(ada)).status, 302)
    assert.equal((await state(ada)).user, 'ada')
    assert.equal((await keysOf(store)).length, 1)
  })
})

describe('koa-passport with passport-local: a logout', () => {
  it('is final, for the cookie of the login too, and leaves an empty session', async (test) => {
    const { visitor } = await loginSite(test)
    const [ada, thief] = [visitor(), visitor()]
    await login(ada)
    await ada.post('/cart', {})
    thief.cookies.set('sid', ada.cookies.get('sid') ?? '')
    await ada.post('/logout', {})
    assert.deepEqual([await state(ada), await state(thief)], [NOBODY, NOBODY])
  })

  it('keeps what else is in the session with keepSessionInfo', async (test) => {
    const { visitor } = await loginSite(test)
    const ada = visitor()
    await login(ada)
    await ada.post('/cart', {})
    await ada.post('/logout/keep', {})
    assert.deepEqual(await state(ada), { user: null, data: { cart: ['tea'] } })
  })

  it('with destroy() after it leaves neither a record nor a cookie', async (test) => {
    const store = memoryStore({ pruneInterval: 0 })
    const { visitor } = await loginSite(test, { store })
    const ada = visitor()
    await login(ada)
    const page = await ada.post('/logout/end', {})
    assert.match(String(page.cookies), /^sid=; .*Max-Age=0/)
    assert.deepEqual([ada.cookies.size, await keysOf(store)], [0, []])
    assert.deepEqual(await state(ada), NOBODY)
  })

  it('while another request of the same visitor is running cannot be undone by it', async (test) => {
    const { visitor } = await loginSite(test)
    const ada = visitor()
    await login(ada)
    const cookie = ada.cookies.get('sid') ?? ''
    const sendForm = await ada.begin('/cart', { any: 'field' })
    await ada.post('/logout/end', {})
    assert.equal(await sendForm(), 200)
    ada.cookies.set('sid', cookie)
    assert.deepEqual(await state(ada), NOBODY)
  })
})

const NOBODY = { user: null, data: {} }

describe('koa-passport: what may go wrong', () => {
  it('a user who was deleted is a stranger from the next request on', async (test) => {
    const users = [ADA]
    const { visitor } = await loginSite(test, {}, { users })
    const ada = visitor()
    await login(ada)
    users.pop()
    assert.equal((await state(ada)).user, null)
  })

  it('a store that is down is a 503 that says so, and not a logout', async (test) => {
    const store = recordingStore()
    const { visitor, errors } = await loginSite(test, { store, cache: false })
    const ada = visitor()
    await login(ada)
    store.fail('load', new Error('the server is down'))
    assert.equal((await ada.visit('/')).status, 503)
    assert.equal(errors.at(-1)?.code, 'ERR_SESSION_STORE_UNAVAILABLE')
    assertHides(errors, ada.cookies.get('sid')?.split('.')[0] ?? '')
    assert.equal((await state(ada)).user, 'ada')
    store.failAll('save')
    assert.equal((await login(ada, '/login', 'bob')).status, 503)
    assert.equal((await state(ada)).user, 'ada')
  })

  it('passport.session() above the session middleware is refused by passport, in the words of Express', async (test) => {
    const passport = new koaPassport.KoaPassport()
    const { visitor, errors } = await companionSite(test, {}, (app, sessions) => {
      app.use(passport.initialize()).use(passport.session()).use(sessions)
    })
    assert.equal((await visitor().visit('/')).status, 500)
    assert.match(String(errors), /Login sessions require session support/)
  })
})
