import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type Koa from 'koa'
import { memoryStore, type Store } from '../../src/index.ts'
import { sessionOf, siteWith, type AnySession } from '../support/sites/http.ts'
import { keysOf } from '../support/stores/stores.ts'

const ENDS: Record<string, (ctx: Koa.Context, session: AnySession) => unknown> = {
  'await session.destroy()': (_, session) => session.destroy(),
  'ctx.session = null': (ctx) => void (ctx.session = null),
}

const WRITES: Record<string, [write: (session: AnySession) => unknown, expected: object]> = {
  'a flash': [(session) => session.flash('notice', 'Goodbye'), { notice: 'Goodbye' }],
  'a value': [(session) => (session['theme'] = 'dark'), { theme: 'dark' }],
  'Object.assign': [(session) => Object.assign(session, { theme: 'dark' }), { theme: 'dark' }],
  'update()': [(session) => session.update((fresh) => (fresh['theme'] = 'dark')), { theme: 'dark' }],
  'a flash that is saved at once': [
    async (session) => {
      session.flash('notice', 'Goodbye')
      await session.save()
    },
    { notice: 'Goodbye' },
  ],
  'regenerate() and a value': [
    async (session) => {
      await session.regenerate()
    },
    {},
  ],
}

describe('after a request has ended its session', () => {
  for (const [end, endIt] of Object.entries(ENDS)) {
    for (const [what, [write, expected]] of Object.entries(WRITES)) {
      for (const held of [true, false]) {
        it(`by ${end}, ${what} begins a new one: ${held ? 'by the object at hand' : 'by ctx.session'}`, async (test) => {
          const store: Store = memoryStore()
          const { agent } = await siteWith(test, { store }, async (ctx) => {
            const session = sessionOf(ctx)
            if (ctx.path === '/in') Object.assign(session, { user: 'ada' })
            if (ctx.path === '/out') {
              await endIt(ctx, session)
              assert.deepEqual(Object.keys(session), [])
              await write(held ? session : sessionOf(ctx))
              if (!what.startsWith('regenerate')) assert.equal(sessionOf(ctx), session)
              ctx.body = {}
            } else ctx.body = { ...ctx.session, notice: ctx.session.flash('notice') }
          })
          const browser = agent()
          await browser.get('/in')
          const [old] = await keysOf(store)
          const cookie = browser.cookieHeader
          const { status, cookies } = await browser.get('/out')
          assert.deepEqual([status, cookies.length], [200, 1])
          assert.notEqual(browser.cookieHeader, cookie)
          assert.notEqual(browser.cookieHeader, '')
          const keys = await keysOf(store)
          assert.equal(keys.length, 1)
          assert.notEqual(keys[0], old)
          assert.deepEqual((await browser.get('/')).json(), expected)
          assert.deepEqual((await browser.get('/', { cookie })).json(), {})
        })
      }
    }

    it(`by ${end}, and writes nothing, the cookie is cleared and no record is made`, async (test) => {
      const store: Store = memoryStore()
      const { agent } = await siteWith(test, { store }, async (ctx) => {
        const session = sessionOf(ctx)
        if (ctx.path === '/in') session['user'] = 'ada'
        else {
          await endIt(ctx, session)
          delete session['user']
          assert.equal(session.flash('notice'), undefined)
        }
        ctx.body = ''
      })
      const browser = agent()
      await browser.get('/in')
      assert.match((await browser.get('/out')).cookies[0] ?? '', /^sid=; Max-Age=0/)
      assert.deepEqual(await keysOf(store), [])
    })
  }

  it('a change of the new one that an error drops does not keep the cookie of the old one', async (test) => {
    const { agent } = await siteWith(test, {}, async (ctx) => {
      if (ctx.path === '/in') sessionOf(ctx)['user'] = 'ada'
      if (ctx.path === '/out') {
        ctx.session = null
        ctx.session.flash('notice', 'Goodbye')
        throw new Error('the page could not be made')
      }
      ctx.body = { ...ctx.session }
    })
    const browser = agent()
    await browser.get('/in')
    assert.match((await browser.get('/out')).cookies[0] ?? '', /^sid=; Max-Age=0/)
  })

  it('that was ended elsewhere meanwhile stays ended: what comes too late begins nothing', async (test) => {
    const { agent, sessions } = await siteWith(test, {}, async (ctx) => {
      const session = sessionOf(ctx)
      session['path'] = ctx.path
      if (ctx.path === '/late') {
        await sessions.revoke(session.id)
        await assert.rejects(session.save(), { code: 'ERR_SESSION_GONE' })
        assert.throws(() => (session['n'] = 2), { code: 'ERR_SESSION_ENDED' })
        assert.throws(() => (ctx.session = { n: 2 }), { code: 'ERR_SESSION_ENDED' })
      }
      ctx.body = ''
    })
    const browser = agent()
    await browser.get('/in')
    const { status, cookies } = await browser.get('/late')
    assert.deepEqual([status, cookies], [200, []])
  })
})
