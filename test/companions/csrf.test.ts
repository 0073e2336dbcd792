import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { bodyParser } from '@koa/bodyparser'
import type Koa from 'koa'
import CSRF from 'koa-csrf'
import { getSession, memoryStore, type SessionOptions } from '../../src/index.ts'
import { companionSite, type CompanionSite } from '../support/sites/companion-site.ts'
import { currentSession } from '../support/sites/http.ts'
import { keysOf } from '../support/stores/stores.ts'
import type { Visitor } from '../support/clients/visitor.ts'

/** A service that knows no `ctx`. */
function transfer(amount: number): number {
  const session = currentSession()
  session['sent'] = Number(session['sent'] ?? 0) + amount
  return session['sent'] as number
}

/** A page with a form, which shows the token where a browser would send it from. */
const PAGES: Koa.Middleware = async (ctx) => {
  if (ctx.path === '/login') await getSession().regenerate()
  if (ctx.path === '/logout') await getSession().destroy()
  if (ctx.method === 'POST' && ctx.path === '/transfer') {
    ctx.body = String(transfer(Number((ctx.request.body as Record<string, string>)['amount'])))
    return
  }
  ctx.body = `<input type="hidden" name="token" value="${String(ctx.state['_csrf'])}">`
}

function formSite(test: TestContext, options: SessionOptions = {}): Promise<CompanionSite> {
  return companionSite(test, options, (app, sessions) => {
    app.use(sessions)
    app.use(bodyParser())
    app.use(CSRF())
    app.use(PAGES)
  })
}

function send(visitor: Visitor, token = visitor.token): Promise<{ status: number; text: string }> {
  return visitor.post('/transfer', { amount: '5', _csrf: token })
}

describe('koa-csrf', () => {
  it('takes a form with the token that its page had, as often as it is sent', async (test) => {
    const { visitor } = await formSite(test)
    const ada = visitor()
    await ada.visit('/')
    assert.equal((await send(ada)).text, '5')
    assert.equal((await send(ada)).text, '10')
  })

  it('keeps its secret in the session, on the server, and the page’s cookie names the session alone', async (test) => {
    const store = memoryStore({ pruneInterval: 0 })
    const { visitor } = await formSite(test, { store })
    const ada = visitor()
    await ada.visit('/')
    const [key = ''] = await keysOf(store)
    assert.match((await store.load(key))?.text ?? '', /"secret"/)
    assert.deepEqual([...ada.cookies.keys()], ['sid'])
  })

  it('refuses a form without a token, with a forged one and with somebody else’s; nothing is changed', async (test) => {
    const { visitor } = await formSite(test)
    const [ada, mallory] = [visitor(), visitor()]
    await Promise.all([ada.visit('/'), mallory.visit('/')])
    for (const token of ['', 'forged', mallory.token]) assert.equal((await send(ada, token)).status, 403)
    assert.equal((await send(ada)).text, '5')
  })

  it('gives a visitor their cookie with the refusal too', async (test) => {
    const { visitor } = await formSite(test)
    const page = await visitor().post('/transfer', { amount: '5', _csrf: 'forged' })
    assert.deepEqual([page.status, page.cookies.length], [403, 1])
  })

  it('accepts no token from before a login or a logout', async (test) => {
    const { visitor } = await formSite(test)
    const ada = visitor()
    for (const path of ['/login', '/logout']) {
      await ada.visit('/')
      const { token } = ada
      await ada.visit(path)
      assert.equal((await send(ada, token)).status, 403, path)
    }
  })

  it('takes the forms of one visitor that come at once', async (test) => {
    const { visitor } = await formSite(test)
    const ada = visitor()
    await ada.visit('/')
    const pages = await Promise.all(Array.from({ length: 8 }, () => send(ada)))
    assert.deepEqual(new Set(pages.map(({ status }) => status)), new Set([200]))
  })
})

describe('koa-csrf above the session middleware', () => {
  it('lets forged forms through, as it always does without a session; a warning says so', async (test) => {
    const warned = new Promise<Error & { code?: string }>((resolve) => {
      const onWarning = (warning: Error): void => {
        if (warning.name === 'SessionWarning') resolve(warning)
      }
      process.on('warning', onWarning)
      test.after(() => process.off('warning', onWarning))
    })
    const { visitor } = await companionSite(test, {}, (app, sessions) => {
      app.use(bodyParser()).use(CSRF()).use(sessions).use(PAGES)
    })
    const mallory = visitor()
    await mallory.visit('/')
    assert.equal((await send(mallory, 'forged')).status, 200)
    const { code, message } = await warned
    assert.equal(code, 'SESSION_READ_TOO_EARLY')
    assert.match(message, /koa-csrf.*Put app\.use\(session\(…\)\) above/)
  })
})
