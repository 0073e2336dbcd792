import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { sessionOf, siteWith } from '../support/sites/http.ts'
import { recordingStore } from '../support/stores/recording-store.ts'

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
