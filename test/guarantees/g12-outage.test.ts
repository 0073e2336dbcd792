import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { memoryStore } from '../../src/index.ts'
import { currentSession, sessionOf, siteWith } from '../support/http.ts'
import { keysOf, steerable, type Call } from '../support/stores.ts'

const READING: Call[] = ['load']
const WRITING: Call[] = ['save', 'touch', 'delete']

describe('G12: while the store is down', () => {
  const down = async (test: import('node:test').TestContext, calls: Call[], hangs = false) => {
    const inner = memoryStore()
    const store = steerable(inner)
    const site = await siteWith(test, { store, cache: false }, async (ctx) => {
      if (ctx.path === '/write') sessionOf(ctx)['user'] = ctx.query['user'] ?? 'alice'
      if (ctx.path === '/out') await currentSession().destroy()
      if (ctx.path === '/login') await currentSession().regenerate()
      if (ctx.path === '/update') await currentSession().update((fresh) => (fresh['user'] = 'bob'))
      if (ctx.path === '/code') {
        ctx.body = await ctx.session.save().then(
          () => 'saved',
          (error: { code: string; status: number; cause?: Error }) => `${error.code} ${error.status} ${error.cause?.message}`,
        )
        return
      }
      ctx.body = ctx.path === '/asset' ? 'asset' : { ...ctx.session }
    })
    const browser = site.agent()
    await browser.get('/write')
    for (const call of calls) (hangs ? store.held : store.failing).add(call)
    return { inner, store, browser, ...site }
  }

  it('a request that does not touch its session works', async (test) => {
    const { browser } = await down(test, [...READING, ...WRITING])
    const { status, text, cookies } = await browser.get('/asset')
    assert.deepEqual([status, text, cookies], [200, 'asset', []])
  })

  it('one that touches it gets 503; nobody is logged out, nothing is overwritten', async (test) => {
    const { browser, store, inner } = await down(test, READING)
    const before = JSON.stringify(await Promise.all((await keysOf(inner)).map((key) => inner.load(key))))
    for (const path of ['/', '/write?user=bob', '/out', '/login', '/update', '/code']) {
      const { status, cookies } = await browser.get(path)
      assert.deepEqual([path, status, cookies], [path, 503, []])
    }
    assert.equal(JSON.stringify(await Promise.all((await keysOf(inner)).map((key) => inner.load(key)))), before)
    store.failing.clear()
    assert.equal((await browser.get('/')).text, '{"user":"alice"}')
  })

  it('a write gets 503 and sends no cookie, the visitor keeps the old state', async (test) => {
    const { browser, store, agent, inner } = await down(test, WRITING)
    for (const path of ['/write?user=bob', '/out', '/login', '/update']) {
      const { status, cookies } = await browser.get(path)
      assert.deepEqual([path, status, cookies], [path, 503, []])
    }
    assert.deepEqual((await agent().get('/write')).cookies, [])
    store.failing.clear()
    assert.equal((await browser.get('/')).text, '{"user":"alice"}')
    assert.equal((await keysOf(inner)).length, 1)
  })

  it('a logout that could not be made says so, and does not clear the cookie', async (test) => {
    const { browser } = await down(test, ['delete'])
    const { status, cookies } = await browser.get('/out')
    assert.deepEqual([status, cookies], [503, []])
  })

  it('a store that is silent gets two seconds, in parallel, and not more', async (test) => {
    const { browser, store, sessions } = await down(test, READING, true)
    const began = performance.now()
    const replies = await Promise.all([browser.get('/'), browser.get('/write?user=bob'), browser.get('/asset')])
    const took = performance.now() - began
    assert.deepEqual(
      replies.map(({ status }) => status),
      [503, 503, 200],
    )
    assert.ok(took > 1900 && took < 3000, `${took} ms`)
    assert.ok(sessions.stats().errors >= 3)
    store.release()
    assert.equal((await browser.get('/')).text, '{"user":"alice"}')
  })
})

describe("G12: onStoreError 'anonymous'", () => {
  it('reads as a new visitor, while a write is still a 503 and the cookie stays', async (test) => {
    const store = steerable()
    const { agent } = await siteWith(test, { store, cache: false, onStoreError: 'anonymous' }, async (ctx) => {
      if (ctx.path === '/write') sessionOf(ctx)['user'] = 'alice'
      if (ctx.path === '/out') await currentSession().destroy()
      if (ctx.path === '/null') ctx.session = null
      if (ctx.path === '/login') await currentSession().regenerate()
      if (ctx.path === '/save') {
        sessionOf(ctx)['user'] = 'bob'
        await ctx.session.save()
      }
      if (ctx.path === '/update') await currentSession().update((fresh) => (fresh['user'] = 'bob'))
      if (ctx.path === '/reload') await currentSession().reload()
      ctx.body = { ...ctx.session }
    })
    const browser = agent()
    await browser.get('/write')
    store.failing.add('load')
    const read = await browser.get('/')
    assert.deepEqual([read.status, read.text, read.cookies], [200, '{}', []])
    for (const path of ['/write', '/out', '/null', '/login', '/save', '/update', '/reload']) {
      const { status, cookies } = await browser.get(path)
      assert.deepEqual([path, status, cookies], [path, 503, []])
    }
    store.failing.clear()
    assert.equal((await browser.get('/')).text, '{"user":"alice"}')
  })
})

describe('G12: a write of which nobody knows the outcome', () => {
  it('is not repeated; the next commit reads first, and loses nothing', async (test) => {
    const inner = memoryStore()
    let cut = false
    let saves = 0
    const store = {
      ...inner,
      async save(...args: Parameters<typeof inner.save>) {
        saves++
        const saved = await inner.save(...args)
        if (cut) throw new Error('the connection was cut after the command was sent')
        return saved
      },
    }
    const { agent } = await siteWith(test, { store }, async (ctx) => {
      const session = sessionOf(ctx)
      if (ctx.path === '/count') {
        cut = true
        const failure = await session.update((fresh) => (fresh['count'] = Number(fresh['count'] ?? 0) + 1)).catch((error) => error)
        cut = false
        assert.equal(failure.code, 'ERR_SESSION_STORE_UNAVAILABLE')
        assert.match(failure.message, /may or may not be stored/)
        session['after'] = true
      }
      if (ctx.path === '/write') session['user'] = 'alice'
      ctx.body = { ...session }
    })
    const browser = agent()
    await browser.get('/write')
    saves = 0
    assert.equal((await browser.get('/count')).status, 200)
    assert.equal(saves, 2)
    assert.equal((await browser.get('/')).text, '{"user":"alice","count":1,"after":true}')
  })
})
