import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import Koa from 'koa'
import {
  isSessionError,
  requireProof,
  session,
  type RequiredProof,
  type Session,
  type SessionOptions,
} from '../../src/index.ts'
import { readSession, signIn } from '../../src/tools/testing.ts'
import { discreet } from '../support/secrecy.ts'
import { KEY, serve, sessionOf, type Agent, type Site } from '../support/sites/http.ts'
import { collectWarnings } from '../support/warnings.ts'

const MINUTE = 60_000

type Kinds = Parameters<typeof requireProof>[0]

/** A site that proves at /prove?kind and /sign-in, and whose other pages need a proof. */
async function bank(
  test: TestContext,
  { kinds = 'password', options = {}, above }: { kinds?: Kinds; options?: SessionOptions; above?: Koa.Middleware } = {},
): Promise<Site & { errors: (Error & { code?: string })[]; sessions: ReturnType<typeof session> }> {
  const app = new Koa()
  const errors: Error[] = []
  app.on('error', (error: Error) => errors.push(error))
  const sessions = session({ keys: [KEY], store: 'memory:', ...options })
  test.after(() => sessions.close())
  if (above) app.use(above)
  app.use(sessions)
  app.use(async (ctx, next) => {
    if (ctx.path === '/prove') await ctx.session.prove(ctx.querystring)
    else if (ctx.path === '/sign-in') await ctx.session.regenerate({ keep: ['cart'] as never, proved: 'password' })
    else return next()
    ctx.body = 'proved'
  })
  app.use(requireProof(kinds, 10 * MINUTE))
  app.use((ctx) => void (ctx.body = 'secret'))
  return { ...(await serve(test, app)), errors, sessions }
}

async function statusAt(agent: Agent, path = '/'): Promise<number> {
  return (await agent.get(path)).status
}

describe('requireProof(kind, milliseconds)', () => {
  it('lets through who has proved this, and nobody else', async (test) => {
    const { agent } = await bank(test)
    const [ada, eve] = [agent(), agent()]
    assert.equal(await statusAt(ada), 403)
    assert.equal(await statusAt(ada, '/prove?passkey'), 200)
    assert.equal(await statusAt(ada), 403, 'this proof is another one')
    assert.equal(await statusAt(ada, '/prove?password'), 200)
    assert.equal((await ada.get('/')).text, 'secret')
    assert.equal(await statusAt(eve), 403)
  })

  it('asks again after this time', async (test) => {
    test.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 })
    const { agent } = await bank(test, { options: { idleTimeout: 60 * MINUTE } })
    const ada = agent()
    await ada.get('/sign-in')
    test.mock.timers.tick(10 * MINUTE)
    assert.equal(await statusAt(ada), 200)
    test.mock.timers.tick(MINUTE)
    assert.equal(await statusAt(ada), 403)
    await ada.get('/prove?password')
    assert.equal(await statusAt(ada), 200)
  })

  it('takes any one of several kinds', async (test) => {
    const { agent } = await bank(test, { kinds: ['password', 'passkey'] })
    for (const kind of ['password', 'passkey', 'mail']) {
      const visitor = agent()
      await visitor.get(`/prove?${kind}`)
      assert.equal(await statusAt(visitor), kind === 'mail' ? 403 : 200)
    }
  })

  it('answers with a sentence, and for scripts in the words of RFC 9470', async (test) => {
    const { agent, errors } = await bank(test, { kinds: ['password', 'passkey'] })
    const { status, text, headers } = await agent().get('/')
    const sentence =
      'Prove who you are by password or passkey, and try again: it must be no longer than 10 minutes ago.'
    assert.deepEqual([status, text], [403, sentence])
    assert.equal(
      headers['www-authenticate'],
      `Session error="insufficient_user_authentication", error_description="${sentence}", ` +
        'acr_values="password passkey", max_age="600"',
    )
    assert.deepEqual([headers['vary'], headers['cache-control']], ['Cookie', undefined])
    assert.deepEqual(
      errors.map(({ code }) => code),
      ['ERR_SESSION_PROOF'],
      'Koa’s own log leaves such errors out',
    )
  })

  it('throws an error that says what is needed, to whoever leads the visitor to the page that asks', async (test) => {
    let needed: RequiredProof | undefined
    const { agent, errors } = await bank(test, {
      async above(ctx, next) {
        try {
          await next()
        } catch (error) {
          if (!isSessionError(error, 'ERR_SESSION_PROOF')) throw error
          needed = error.proof
          ctx.redirect(`/confirm?${needed?.kinds.join()}`)
        }
      },
    })
    const { status, headers } = await agent().get('/')
    assert.deepEqual([status, headers['location'], headers['www-authenticate']], [302, '/confirm?password', undefined])
    assert.deepEqual(needed, { kinds: ['password'], within: 10 * MINUTE })
    assert.deepEqual(errors, [])
  })

  it('stores what the handlers above it have written, as with any error of the client', async (test) => {
    const app = new Koa()
    const sessions = session({ keys: [KEY], store: 'memory:' })
    test.after(() => sessions.close())
    app.use(sessions).use((ctx, next) => {
      const visitor = sessionOf(ctx)
      ctx.set('asked', String((visitor['asked'] = (visitor['asked'] ?? 0) + 1)))
      return next()
    })
    app.use(requireProof('password', MINUTE))
    const agent = (await serve(test, app)).agent()
    await agent.get('/')
    assert.equal((await agent.get('/')).status, 403)
    assert.equal(({ ...(await readSession(sessions, agent.cookieHeader)) } as Record<string, unknown>)['asked'], 2)
  })

  it('asks in a passive request too, and a proof there is one', async (test) => {
    const { agent } = await bank(test, { options: { passive: () => true } })
    const ada = agent()
    assert.equal(await statusAt(ada), 403)
    await ada.get('/prove?password')
    assert.equal(await statusAt(ada), 200)
  })

  it('finds proofs that are encrypted', async (test) => {
    const { agent } = await bank(test, { options: { encrypt: true, cache: false } })
    const ada = agent()
    await ada.get('/sign-in')
    assert.equal(await statusAt(ada), 200)
  })

  it('asks for the proofs of the session that the option property names', async (test) => {
    const app = new Koa()
    const shop = session({ keys: [KEY], store: 'memory:' })
    const office = session({ keys: [KEY], store: 'memory:', property: 'office', cookie: { name: 'office' } })
    test.after(() => Promise.all([shop.close(), office.close()]))
    app.use(shop).use(office)
    app.use(async (ctx, next) => {
      const { session: visitor, office: clerk } = ctx as unknown as Record<string, Session>
      if (ctx.path === '/shop/prove') await visitor?.prove('password')
      else if (ctx.path === '/office/prove') await clerk?.prove('password')
      else return next()
      ctx.body = 'proved'
    })
    app.use((ctx, next) =>
      requireProof('password', MINUTE, ctx.path === '/office' ? { property: 'office' } : {})(ctx, next),
    )
    app.use((ctx) => void (ctx.body = 'secret'))
    const agent = (await serve(test, app)).agent()
    await agent.get('/shop/prove')
    assert.deepEqual([await statusAt(agent, '/shop'), await statusAt(agent, '/office')], [200, 403])
    await agent.get('/office/prove')
    assert.deepEqual([await statusAt(agent, '/shop'), await statusAt(agent, '/office')], [200, 200])
  })

  it('lets nobody through where there is no session, and says to the application what is wrong', async (test) => {
    const skipped = await bank(test, {
      options: { skip: () => true },
      above: (ctx, next) => (ctx.path === '/' ? next() : undefined),
    })
    assert.equal(await statusAt(skipped.agent()), 500)
    assert.deepEqual(
      skipped.errors.map(({ code }) => code),
      ['ERR_SESSION_NO_CONTEXT'],
    )
    const app = new Koa()
    const errors: string[] = []
    app.on('error', ({ code, message }: Error & { code: string }) => errors.push(`${code}: ${message}`))
    app.use(requireProof('password', MINUTE, { property: 'admin' })).use((ctx) => void (ctx.body = 'secret'))
    assert.equal(await statusAt((await serve(test, app)).agent()), 500)
    assert.match(errors.join(), /^ERR_SESSION_NO_CONTEXT: .*ctx\.admin/)
  })

  it('lets nobody through while the store is down', async (test) => {
    const { agent, errors } = await bank(test, { options: { store: 'redis://127.0.0.1:1', cache: false } })
    assert.equal(
      (await agent().get('/', { cookie: (await signIn(session({ keys: [KEY], store: 'memory:' }))).cookie })).status,
      503,
    )
    assert.ok(errors.some(({ code }) => code === 'ERR_SESSION_STORE_UNAVAILABLE'))
  })
})

describe('the arguments of requireProof', () => {
  const cases: [title: string, args: unknown[], said: RegExp][] = [
    [
      'none, as in app.use(requireProof)',
      [{ req: {}, res: {} }, () => {}],
      /passes the function itself\. Write requireProof\('password'/,
    ],
    ['the age first', [600_000, 'password'], /the kind of the proof comes first/],
    ['no age', ['password'], /how old the proof may be is missing.*Write requireProof\('password', 10 \* 60_000\)/],
    ['an age in words', ['password', '10m'], /must be a number of milliseconds/],
    ['an object', [{ kind: 'password' }, 1000], /must be a string, not an Object/],
    ['a property that is Koa’s', ['password', MINUTE, { property: 'body' }], /Koa has a ctx\.body already/],
    ['the property as it is', ['password', MINUTE, 'admin'], /must be an object: write \{ property: 'admin' \}/],
    ['an option that does not exist', ['password', MINUTE, { propery: 'admin' }], /did you mean property\?/],
  ]

  for (const [title, args, said] of cases) {
    it(`refuses ${title}`, () => {
      assert.throws(
        () => (requireProof as (...args: unknown[]) => unknown)(...args),
        (error: Error) => {
          discreet('ERR_SESSION_OPTION')(error)
          assert.match(error.message, said)
          return true
        },
      )
    })
  }

  it('warns once of an age in seconds', async (test) => {
    const warnings = await collectWarnings(test)
    requireProof('password', 600)
    requireProof('password', 900)
    const told = await warnings()
    assert.deepEqual(
      told.map(({ code }) => code),
      ['SESSION_PROOF_SHORT'],
    )
    assert.match(told[0]?.message ?? '', /^requireProof: a proof counts for 600 milliseconds only/)
  })
})
