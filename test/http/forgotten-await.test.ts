import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, it, type TestContext } from 'node:test'
import type Koa from 'koa'
import { memoryStore, type DiagnosticMessage, type SessionOptions, type Store } from '../../src/index.ts'
import { recordingStore } from '../support/stores/recording-store.ts'
import { sessionOf, siteWith, type Agent } from '../support/sites/http.ts'

/** A memory that answers later, as a server does, and that can be down. */
function remote(): { store: Store; state: { isDown: boolean } } {
  const memory = memoryStore({ pruneInterval: 0 })
  const state = { isDown: false }
  async function ask<Answer>(question: () => Answer): Promise<Awaited<Answer>> {
    await turn()
    if (state.isDown) throw new Error('connection refused')
    return question() as Awaited<Answer>
  }
  const store: Store = {
    load: (key) => ask(() => memory.load(key)),
    save: (key, text, expiresAt, expected) => ask(() => memory.save(key, text, expiresAt, expected)),
    touch: (key, expiresAt) => ask(() => memory.touch(key, expiresAt)),
    delete: (key, expected) => ask(() => memory.delete(key, expected)),
  }
  return { store, state }
}

/** A site whose one handler forgets to await, and a visitor with a cart. */
async function forgetful(test: TestContext, handler: (ctx: Koa.Context) => unknown, options: SessionOptions = {}) {
  const rejections: unknown[] = []
  const onRejection = (reason: unknown): void => void rejections.push(reason)
  process.on('unhandledRejection', onRejection)
  test.after(() => process.off('unhandledRejection', onRejection))
  const { store, state } = remote()
  const { agent } = await siteWith(test, { store, cache: false, ...options }, async (ctx) => {
    if (ctx.path === '/cart') sessionOf(ctx)['cart'] = ['tea']
    ctx.body = { ...ctx.session }
    if (ctx.path === '/forget') await handler(ctx)
  })
  const browser: Agent = agent()
  await browser.get('/cart')
  return { browser, state, rejections }
}

describe('a handler that forgets to await', () => {
  it('regenerate() and then sets something is told to await, and the visitor keeps the session', async (test) => {
    const { browser, rejections } = await forgetful(test, (ctx) => {
      void ctx.session.regenerate({ keep: ['cart'] as never })
      assert.throws(() => (sessionOf(ctx)['user'] = 'ada'), {
        code: 'ERR_SESSION_ENDED',
        message: /await session\.regenerate/,
      })
      assert.throws(() => ctx.session.identify('ada'), { message: /await session\.regenerate/ })
      assert.throws(() => ctx.session.flash('notice', 'hello'), { message: /await session\.regenerate/ })
      ctx.redirect('/')
    })
    const old = browser.cookieHeader
    const { status, cookies } = await browser.get('/forget')
    assert.deepEqual([status, cookies.length], [302, 1])
    assert.notEqual(browser.cookieHeader, old)
    assert.equal((await browser.get('/')).text, '{"cart":["tea"]}')
    assert.deepEqual(rejections, [])
  })

  it('regenerate() of a new session is told the same', async (test) => {
    const { browser } = await forgetful(test, (ctx) => {
      void ctx.session.regenerate()
      assert.throws(() => (sessionOf(ctx)['user'] = 'ada'), { message: /await session\.regenerate/ })
    })
    browser.cookies.clear()
    const { cookies } = await browser.get('/forget')
    assert.equal(cookies.length, 1)
  })

  const leftovers: Readonly<Record<string, [(ctx: Koa.Context) => unknown, after: string, cookies: number]>> = {
    'a change of an object': [
      (ctx) => (sessionOf(ctx)['cart'] as string[]).push('milk'),
      '{"cart":["tea","milk"],"early":1}',
      0,
    ],
    'a change': [(ctx) => (sessionOf(ctx)['late'] = 1), '{"cart":["tea"],"early":1,"late":1}', 0],
    'null, which ends the session': [(ctx) => (ctx.session = null), '{}', 1],
    'regenerate() that keeps nothing': [(ctx) => void ctx.session.regenerate(), '{}', 1],
    'regenerate()': [(ctx) => void ctx.session.regenerate({ keep: ['cart'] as never }), '{"cart":["tea"]}', 1],
  }
  for (const [what, [late, after, cookies]] of Object.entries(leftovers)) {
    it(`something that falls into the final save is not lost: ${what}`, async (test) => {
      const store = recordingStore()
      const saving = { isHeld: false }
      const { browser } = await forgetful(
        test,
        (ctx) => {
          sessionOf(ctx)['early'] = 1
          const held = store.hold('save')
          saving.isHeld = true
          void held.arrived.then(() => {
            late(ctx)
            held.release()
          })
        },
        { store },
      )
      const answer = await browser.get('/forget')
      assert.deepEqual([saving.isHeld, answer.status, answer.cookies.length], [true, 200, cookies])
      assert.equal((await browser.get('/')).text, after)
    })
  }

  it('something that comes even later is refused, so that the request comes to an end', async (test) => {
    const store = recordingStore()
    const refused: unknown[] = []
    const { browser } = await forgetful(
      test,
      async (ctx) => {
        const [first, second] = [store.hold('save'), store.hold('save')]
        sessionOf(ctx)['early'] = 1
        void first.arrived.then(() => {
          sessionOf(ctx)['late'] = 1
          first.release()
        })
        void second.arrived.then(() => {
          for (const write of [
            () => (sessionOf(ctx)['later'] = 1),
            () => (ctx.session = null),
            () => (ctx.session = { later: 1 }),
          ]) {
            try {
              write()
            } catch (error) {
              refused.push((error as { code?: unknown }).code)
            }
          }
          second.release()
        })
      },
      { store },
    )
    assert.equal((await browser.get('/forget')).status, 200)
    assert.deepEqual(refused, Array(3).fill('ERR_SESSION_COMMITTED'))
    assert.equal((await browser.get('/')).text, '{"cart":["tea"],"early":1,"late":1}')
  })

  it('a value that reads otherwise each time does not keep the request for ever', async (test) => {
    const store = recordingStore()
    let reads = 0
    const moody = new Proxy(
      { mood: 0 },
      { get: (target, name) => (name === 'mood' ? ++reads : Reflect.get(target, name)) },
    )
    const { browser } = await forgetful(test, (ctx) => void (sessionOf(ctx)['moody'] = moody), { store })
    store.calls.length = 0
    assert.equal((await browser.get('/forget')).status, 200)
    assert.ok(store.count('save') <= 2)
  })

  const works: Readonly<Record<string, (ctx: Koa.Context) => unknown>> = {
    'save()': (ctx) => {
      sessionOf(ctx)['cart'] = ['coffee']
      void ctx.session.save()
    },
    'update(fn)': (ctx) => {
      void sessionOf(ctx).update((fresh) => (fresh['cart'] = ['coffee']))
    },
    'save(callback)': (ctx) => {
      sessionOf(ctx)['cart'] = ['coffee']
      ctx.session.save(() => {})
    },
  }
  for (const [name, work] of Object.entries(works)) {
    it(`${name} has it done before the answer leaves`, async (test) => {
      const { browser } = await forgetful(test, work)
      await browser.get('/forget')
      assert.equal((await browser.get('/')).text, '{"cart":["coffee"]}')
    })
  }

  it('destroy() signs the visitor out before the answer leaves', async (test) => {
    const { browser } = await forgetful(test, (ctx) => void ctx.session.destroy())
    const cookie = browser.cookieHeader
    await browser.get('/forget')
    assert.equal(browser.cookies.size, 0)
    assert.equal((await browser.get('/', { cookie })).text, '{}')
  })

  const failing: Readonly<Record<string, (ctx: Koa.Context) => unknown>> = {
    ...works,
    'destroy()': (ctx) => void ctx.session.destroy(),
    'regenerate()': (ctx) => void ctx.session.regenerate(),
    'reload()': (ctx) => void ctx.session.reload(),
    'one after another': (ctx) => {
      void ctx.session.save()
      void ctx.session.destroy()
    },
  }
  for (const [name, work] of Object.entries(failing)) {
    if (name === 'save(callback)') continue // its callback is told
    for (const isLate of [false, true]) {
      it(`${name} while the store is down answers 503${isLate ? ', also if it failed long before' : ''}`, async (test) => {
        const { browser, state, rejections } = await forgetful(test, async (ctx) => {
          void sessionOf(ctx)['cart']
          state.isDown = true
          work(ctx)
          if (isLate) for (let turns = 0; turns < 10; turns++) await turn()
        })
        const cookie = browser.cookieHeader
        const { status, cookies } = await browser.get('/forget')
        state.isDown = false
        await turn()
        assert.equal(status, 503)
        assert.deepEqual(cookies, [])
        assert.equal((await browser.get('/', { cookie })).text, '{"cart":["tea"]}')
        assert.deepEqual(rejections, [])
      })
    }
  }

  it('and handles the failure answers as the handler says', async (test) => {
    const { browser, state } = await forgetful(test, async (ctx) => {
      void sessionOf(ctx)['cart']
      state.isDown = true
      await ctx.session.update(() => {}).catch(() => (ctx.body = 'later, please'))
      state.isDown = false
    })
    assert.equal((await browser.get('/forget')).text, 'later, please')
  })

  it('a wrong argument is told by the answer', async (test) => {
    const { browser, rejections } = await forgetful(test, (ctx) => void ctx.session.regenerate(['cart'] as never))
    assert.equal((await browser.get('/forget')).status, 500)
    await turn()
    assert.deepEqual(rejections, [])
  })

  it('what it does after the answer does not end the process, and is reported', async (test) => {
    const reported: string[] = []
    const onError = (message: unknown): void => {
      const { reason } = message as DiagnosticMessage
      if (reason === 'not awaited') reported.push(reason)
    }
    subscribe('koa-server-session:error', onError)
    test.after(() => unsubscribe('koa-server-session:error', onError))
    let done: Promise<void> | undefined
    const { browser, state, rejections } = await forgetful(test, (ctx) => {
      const session = sessionOf(ctx)
      void sessionOf(ctx)['cart']
      done = new Promise((resolve) => {
        ctx.res.once('close', () => {
          state.isDown = true
          void session.update((fresh) => (fresh['cart'] = []))
          void session.destroy()
          resolve()
        })
      })
    })
    assert.equal((await browser.get('/forget')).status, 200)
    await done
    while (reported.length < 2) await turn()
    await turn()
    assert.deepEqual(reported, ['not awaited', 'not awaited'])
    assert.deepEqual(rejections, [])
  })
})
