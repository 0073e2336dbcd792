import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { describe, it, type TestContext } from 'node:test'
import { sessionOf, siteWith, type AnySession, type Reply } from '../support/sites/http.ts'
import { recordingStore, type Held } from '../support/stores/recording-store.ts'

describe('update in a request of a visitor without a session', () => {
  it('that changes nothing makes no record and no cookie, and gives its result', async (test) => {
    const store = recordingStore()
    const { agent } = await siteWith(test, { store }, async (ctx) => {
      ctx.body = { things: await sessionOf(ctx).update((fresh) => (fresh['basket'] as unknown[])?.length ?? 0) }
    })
    const reply = await agent().get('/')
    assert.deepEqual([reply.json(), reply.cookies, store.count('save')], [{ things: 0 }, [], 0])
  })

  it('that changes something makes both, also if another update looks at the same time', async (test) => {
    const store = recordingStore()
    const { agent } = await siteWith(test, { store }, async (ctx) => {
      const session = sessionOf(ctx)
      const looks = [1, 2].map(() => session.update((fresh) => fresh['basket'] ?? null))
      await Promise.all([...looks, session.update((fresh) => (fresh['basket'] = ['tea']))])
      ctx.body = { ...ctx.session }
    })
    const browser = agent()
    const reply = await browser.get('/')
    assert.deepEqual([reply.json(), reply.cookies.length, store.count('save')], [{ basket: ['tea'] }, 1, 1])
  })

  it('stores what was changed before it, and a session that regenerate has made', async (test) => {
    const { agent } = await siteWith(test, {}, async (ctx) => {
      if (ctx.path === '/set') sessionOf(ctx)['basket'] = ['tea']
      if (ctx.path === '/regenerate') await ctx.session.regenerate()
      if (ctx.path !== '/') await sessionOf(ctx).update(() => {})
      ctx.body = { ...ctx.session, isNew: ctx.session.isNew }
    })
    for (const [path, expected] of Object.entries({ '/set': { basket: ['tea'] }, '/regenerate': {} })) {
      const browser = agent()
      await browser.get(path)
      assert.deepEqual((await browser.get('/')).json(), { ...expected, isNew: false })
    }
  })
})

describe('the function of update', () => {
  it('runs in its own request, also if its change goes out with what another one saves', async (test) => {
    const paths = new AsyncLocalStorage<string>()
    const ran: (string | undefined)[] = []
    const held: Held[] = []
    const store = recordingStore()
    const { agent } = await siteWith(test, { store }, async (ctx) => {
      const session = sessionOf(ctx)
      if (ctx.path === '/in') session['n'] = 0
      else {
        const wrote = paths.run(ctx.path, () =>
          session.update((fresh) => {
            fresh['n'] = Number(fresh['n']) + 1
            ran.push(paths.getStore())
          }),
        )
        if (ctx.path !== '/first') held[0]?.release()
        await wrote
      }
      ctx.body = ''
    })
    const browser = agent()
    await browser.get('/in')
    held.push(store.hold('save'))
    const first = browser.get('/first')
    await held[0]?.arrived
    await Promise.all([first, browser.get('/second')])
    assert.deepEqual(ran, ['/first', '/second'])
  })

  for (const member of ['save', 'reload', 'regenerate', 'destroy'] as const) {
    it(`that calls ${member}() makes the update fail, and nothing else`, async (test) => {
      const unheard: unknown[] = []
      const listen = (error: unknown): void => void unheard.push(error)
      process.on('unhandledRejection', listen)
      test.after(() => process.off('unhandledRejection', listen))
      let failure: unknown
      const { agent } = await siteWith(test, {}, async (ctx) => {
        await sessionOf(ctx)
          .update((fresh) => {
            fresh['n'] = 1
            void fresh[member]()
          })
          .catch((error: unknown) => (failure = error))
        ctx.body = { ...ctx.session }
      })
      assert.deepEqual((await agent().get('/')).json(), {})
      assert.equal((failure as { code?: string }).code, 'ERR_SESSION_OPTION')
      assert.match((failure as Error).message, /stored by update itself, so no save\(\) is needed/)
      await new Promise(setImmediate)
      assert.deepEqual(unheard, [])
    })
  }
})

describe('objects and update', () => {
  interface Basket {
    things: string[]
    isSeen?: boolean
  }
  const see = (fresh: AnySession): Basket => Object.assign(fresh['basket'] as Basket, { isSeen: true })

  /** A request of a visitor whose basket has tea, and what the next one finds. */
  async function after(test: TestContext, handler: (session: AnySession) => Promise<void>): Promise<[Reply, unknown]> {
    const { agent } = await siteWith(test, {}, async (ctx) => {
      if (ctx.path === '/set') sessionOf(ctx)['basket'] = { things: ['tea'] }
      if (ctx.path === '/handler') await handler(sessionOf(ctx))
      ctx.body = { ...ctx.session }
    })
    const browser = agent()
    await browser.get('/set')
    return [await browser.get('/handler'), (await browser.get('/')).json()]
  }

  it('an object that it gives is the session’s own from then on, whether it was changed or only read', async (test) => {
    for (const [change, expected] of [
      [see, { things: ['tea', 'milk'], isSeen: true }],
      [(fresh: AnySession) => fresh['basket'] as Basket, { things: ['tea', 'milk'] }],
      [(fresh: AnySession) => (fresh['basket'] = { things: ['wine'] }) as Basket, { things: ['wine', 'milk'] }],
    ] as const) {
      const [, found] = await after(test, async (session) => {
        const basket = await session.update((fresh) => change(fresh as AnySession))
        basket.things.push('milk')
        assert.equal(session['basket'], basket)
      })
      assert.deepEqual(found, { basket: expected })
    }
  })

  it('a change of one that it has replaced fails the request, and names it', async (test) => {
    const [reply, found] = await after(test, async (session) => {
      const basket = session['basket'] as Basket
      await session.update((fresh) => see(fresh as AnySession))
      basket.things.push('milk')
      session['other'] = 1
      await assert.rejects(session.save(), { code: 'ERR_SESSION_COMMITTED', message: /Take session\.basket anew/ })
    })
    assert.equal(reply.status, 500)
    assert.deepEqual(found, { basket: { things: ['tea'], isSeen: true } })
  })

  it('one that it has replaced, and nobody has changed, fails nothing', async (test) => {
    const [reply, found] = await after(test, async (session) => {
      const basket = session['basket'] as Basket
      await session.update((fresh) => see(fresh as AnySession))
      ;(session['basket'] as Basket).things.push('milk')
      assert.deepEqual(basket, { things: ['tea'] })
    })
    assert.equal(reply.status, 200)
    assert.deepEqual(found, { basket: { things: ['tea', 'milk'], isSeen: true } })
  })

  it('what this request has changed meanwhile stays as it is, and takes precedence', async (test) => {
    const [reply, found] = await after(test, async (session) => {
      const basket = session['basket'] as Basket
      const seen = session.update((fresh) => see(fresh as AnySession))
      basket.things.push('milk')
      await seen
      assert.equal(session['basket'], basket)
    })
    assert.equal(reply.status, 200)
    assert.deepEqual(found, { basket: { things: ['tea', 'milk'] } })
  })

  it('the function’s own session refuses what is set there after the function has returned', async (test) => {
    const [, found] = await after(test, async (session) => {
      let kept: AnySession | undefined
      await session.update((fresh) => {
        kept = fresh as AnySession
        kept['n'] = 1
      })
      assert.throws(() => ((kept as AnySession)['n'] = 2), { code: 'ERR_SESSION_COMMITTED' })
    })
    assert.deepEqual(found, { basket: { things: ['tea'] }, n: 1 })
  })
})
