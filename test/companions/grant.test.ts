import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import { text } from 'node:stream/consumers'
import grantModule from 'grant'
import type Koa from 'koa'
import { getSession, memoryStore, type SessionOptions } from '../../src/index.ts'
import { companionSite, type CompanionSite } from '../support/sites/companion-site.ts'
import { LASTING, currentSession, sessionOf } from '../support/sites/http.ts'
import { keysOf } from '../support/stores/stores.ts'
import { Agent, type Reply } from '../support/clients/agent.ts'
import type { Visitor } from '../support/clients/visitor.ts'

// Its types take it for a module with a default export, and it is one without.
const grant = grantModule as unknown as { koa(config: object): Koa.Middleware }

const CLIENT_SECRET = 'what the site and the provider share'

/** A provider of identities that signs in everybody who comes as the same user: OAuth 2, with the code of RFC 6749. */
async function provider(test: TestContext): Promise<string> {
  const codes = new Map<string, string>()
  const server = createServer(LASTING, async (req, res) => {
    const { pathname, searchParams } = new URL(req.url ?? '', 'http://provider')
    if (pathname === '/authorize') {
      const code = randomBytes(8).toString('hex')
      codes.set(code, searchParams.get('redirect_uri') ?? '')
      const back = new URL(searchParams.get('redirect_uri') ?? '')
      back.searchParams.set('code', code)
      back.searchParams.set('state', searchParams.get('state') ?? '')
      res.writeHead(302, { location: back.href }).end()
      return
    }
    const answer = pathname === '/token' ? tokenFor(await form(req)) : profileFor(req)
    res.writeHead(answer ? 200 : 400, { 'content-type': 'application/json' })
    res.end(JSON.stringify(answer ?? { error: 'invalid_grant' }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  test.after(() => {
    server.close()
    server.closeAllConnections()
  })

  function tokenFor(asked: URLSearchParams): object | undefined {
    const code = asked.get('code') ?? ''
    const isGood = asked.get('client_secret') === CLIENT_SECRET && codes.get(code) === asked.get('redirect_uri')
    codes.delete(code)
    return isGood ? { access_token: 'the token of ada', token_type: 'bearer' } : undefined
  }
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function form(req: IncomingMessage): Promise<URLSearchParams> {
  return new URLSearchParams(await text(req))
}

function profileFor({ headers }: IncomingMessage): object | undefined {
  return headers.authorization === 'Bearer the token of ada' ? { login: 'ada' } : undefined
}

interface Granted {
  readonly error?: string
  readonly access_token?: string
  readonly profile?: { login: string }
}

/** Grant as its documentation sets it up for Koa, with the answer handed over in the session. */
async function oauthSite(test: TestContext, options: SessionOptions = {}): Promise<CompanionSite> {
  const identities = await provider(test)
  const site = await companionSite(test, options, (app, sessions) => {
    app.use(sessions)
    app.use((ctx, next) => granted(ctx, next))
    app.use(async (ctx) => {
      if (ctx.path === '/') ctx.body = { ...ctx.session }
      if (ctx.path === '/cart') ctx.body = sessionOf(ctx)['cart'] = 'tea'
      if (ctx.path === '/signed-in') await signIn(ctx)
    })
  })
  // It wants to know the address of the site, which is known only now.
  const granted = grant.koa({
    defaults: { origin: site.address, transport: 'session', state: true, prefix: '/connect' },
    provider: {
      authorize_url: `${identities}/authorize`,
      access_url: `${identities}/token`,
      profile_url: `${identities}/profile`,
      oauth: 2,
      key: 'the site',
      secret: CLIENT_SECRET,
      response: ['tokens', 'profile'],
      callback: '/signed-in',
    },
  })
  return site
}

/** What an application does when the visitor is back from the provider. */
async function signIn(ctx: Koa.Context): Promise<void> {
  const { response } = currentSession()['grant'] as { response: Granted }
  if (response.error !== undefined || !response.profile) ctx.throw(403, 'The provider did not sign you in.')
  await getSession().regenerate({ keep: ['cart'] as never })
  currentSession()['user'] = response.profile.login
  ctx.redirect('/')
}

async function data(visitor: Visitor): Promise<Record<string, unknown>> {
  return JSON.parse((await visitor.visit('/')).text) as never
}

/** As far as the provider, and with what it answers, but not back on the site. */
async function untilCallback(visitor: Visitor): Promise<URL> {
  const away = await visitor.get('/connect/provider')
  const provider = new URL(away.headers.location ?? '')
  const back = await new Agent(provider.origin).get(provider.pathname + provider.search)
  return new URL(back.headers.location ?? '')
}

/** Comes back to the site, and follows where grant sends them. */
async function comeBack(visitor: Visitor, callback: URL): Promise<Reply> {
  const exchanged = await visitor.get(callback.pathname + callback.search)
  return visitor.get(exchanged.headers.location ?? '')
}

describe('grant: signing in with a provider', () => {
  it('goes there and back, and ends in a session of the user under a new id', async (test) => {
    const { visitor } = await oauthSite(test)
    const ada = visitor()
    await ada.visit('/cart')
    const before = ada.cookies.get('sid')
    await comeBack(ada, await untilCallback(ada))
    assert.notEqual(ada.cookies.get('sid'), before)
    assert.deepEqual(await data(ada), { cart: 'tea', user: 'ada' })
    ada.cookies.set('sid', before ?? '')
    assert.deepEqual(await data(ada), {})
  })

  it('keeps the state for the way back on the server: it is stored before the visitor is sent away', async (test) => {
    const store = memoryStore({ pruneInterval: 0 })
    const { visitor } = await oauthSite(test, { store })
    const ada = visitor()
    const away = await ada.get('/connect/provider')
    const state = new URL(away.headers.location ?? '').searchParams.get('state') ?? ''
    assert.ok(state.length > 10)
    const [key = ''] = await keysOf(store)
    assert.match((await store.load(key))?.text ?? '', new RegExp(state))
    assert.doesNotMatch(String(away.cookies), new RegExp(state))
  })

  it('refuses a forged state, and signs nobody in', async (test) => {
    const { visitor } = await oauthSite(test)
    const ada = visitor()
    const callback = await untilCallback(ada)
    callback.searchParams.set('state', 'forged')
    const page = await comeBack(ada, callback)
    assert.equal(page.status, 403)
    assert.equal((await data(ada))['user'], undefined)
  })

  it('refuses the code that an attacker has brought from a session of his own', async (test) => {
    const { visitor } = await oauthSite(test)
    const [mallory, ada] = [visitor(), visitor()]
    const callback = await untilCallback(mallory)
    await ada.get('/connect/provider')
    assert.equal((await comeBack(ada, callback)).status, 403)
    assert.equal((await data(ada))['user'], undefined)
  })

  it('in two tabs at once is one of them, and the other can be tried again', async (test) => {
    const { visitor } = await oauthSite(test)
    const ada = visitor()
    await ada.visit('/cart')
    const callbacks = [await untilCallback(ada), await untilCallback(ada)] as const
    assert.equal((await comeBack(ada, callbacks[0])).status, 403)
    await comeBack(ada, await untilCallback(ada))
    assert.deepEqual(await data(ada), { cart: 'tea', user: 'ada' })
  })

  it('without the session middleware is told to mount it first, by grant', async (test) => {
    const granted = grant.koa({ defaults: { origin: 'http://127.0.0.1' }, provider: { oauth: 2 } })
    const { visitor, errors } = await companionSite(test, {}, (app) => app.use((ctx, next) => granted(ctx, next)))
    assert.equal((await visitor().visit('/connect/provider')).status, 400)
    assert.match(String(errors), /mount session middleware first/)
  })
})
