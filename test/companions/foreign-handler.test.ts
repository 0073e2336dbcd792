import assert from 'node:assert/strict'
import { channel } from 'node:diagnostics_channel'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as later } from 'node:timers/promises'
import { describe, it, type TestContext } from 'node:test'
import type Koa from 'koa'
import { getSession, memoryStore, type DiagnosticMessage, type SessionOptions } from '../../src/index.ts'
import { companionSite, type CompanionSite } from '../support/sites/companion-site.ts'
import { sessionOf, type AnySession } from '../support/sites/http.ts'
import { keysOf } from '../support/stores/stores.ts'

/** What Next, Nuxt and their like hand out: a handler that answers by itself, and knows nothing of Koa. */
type Handler = (req: IncomingMessage, res: ServerResponse) => Promise<void>

const HANDLERS: Record<string, Handler> = {
  'writes all at once': async (_req, res) => {
    res.setHeader('Content-Type', 'text/html')
    res.end(page())
  },
  'writes its headers with writeHead': async (_req, res) => {
    res.writeHead(200, { 'Content-Type': 'text/html', 'Set-Cookie': 'theme=dark' })
    res.end(page())
  },
  'flushes its headers and streams': async (_req, res) => {
    res.setHeader('Content-Type', 'text/html')
    res.flushHeaders()
    const html = page()
    for (const piece of [html.slice(0, 3), html.slice(3)]) {
      res.write(piece)
      await new Promise(setImmediate)
    }
    res.end()
  },
  'answers later, when it has awaited something': async (_req, res) => {
    await later(1)
    res.end(page())
  },
}

/** Rendered deep in the framework. */
function page(): string {
  return `Hello ${String((getSession() as AnySession)['name'] ?? 'stranger')}`
}

function handOver(handler: Handler): (ctx: Koa.Context) => Promise<void> {
  return async (ctx) => {
    ctx.respond = false
    ctx.res.statusCode = 200 // Koa begins with 404
    await handler(ctx.req, ctx.res)
  }
}

function frameworkSite(
  test: TestContext,
  handler: Handler,
  { isSaved = true, ...options }: SessionOptions & { isSaved?: boolean } = {},
): Promise<CompanionSite> {
  return companionSite(test, options, (app, sessions) => {
    app.use(sessions)
    app.use(async (ctx) => {
      if (ctx.path === '/hello') sessionOf(ctx)['name'] = 'ada'
      if (isSaved) await ctx.session.save()
      await handOver(handler)(ctx)
    })
  })
}

/** What the channel of errors tells until the test ends. */
function reports(test: TestContext): DiagnosticMessage[] {
  const heard: DiagnosticMessage[] = []
  const onMessage = (message: unknown): void => void heard.push(message as DiagnosticMessage)
  channel('koa-server-session:error').subscribe(onMessage)
  test.after(() => channel('koa-server-session:error').unsubscribe(onMessage))
  return heard
}

for (const [what, handler] of Object.entries(HANDLERS)) {
  describe(`a handler of another framework that ${what}`, () => {
    it('after session.save() answers with the cookie, and finds getSession() in its pages', async (test) => {
      const heard = reports(test)
      const { visitor, errors } = await frameworkSite(test, handler)
      const ada = visitor()
      const first = await ada.visit('/hello')
      assert.deepEqual([first.status, first.text], [200, 'Hello ada'])
      assert.ok(ada.cookies.has('sid'))
      assert.equal((await ada.visit('/')).text, 'Hello ada')
      assert.deepEqual([errors, heard], [[], []])
    })

    it('keeps its own cookies beside that of the session', async (test) => {
      const { visitor } = await frameworkSite(test, async (req, res) => {
        res.appendHeader('Set-Cookie', 'theme=light')
        return handler(req, res)
      })
      const ada = visitor()
      await ada.visit('/hello')
      assert.deepEqual([...ada.cookies.keys()].toSorted(), ['sid', 'theme'])
    })

    it('makes no session and no cookie for a stranger whom nobody greeted', async (test) => {
      const store = memoryStore({ pruneInterval: 0 })
      const { visitor } = await frameworkSite(test, handler, { store })
      const stranger = visitor()
      assert.equal((await stranger.visit('/')).text, 'Hello stranger')
      assert.deepEqual([stranger.cookies.has('sid'), await keysOf(store)], [false, []])
    })
  })
}

describe('a handler of another framework without session.save()', () => {
  it('loses a new session: a warning and the error channel say what to call', async (test) => {
    const heard = reports(test)
    const warned = new Promise<Error & { code?: string }>((resolve) => {
      const onWarning = (warning: Error): void => {
        if (warning.name === 'SessionWarning') resolve(warning)
      }
      process.on('warning', onWarning)
      test.after(() => process.off('warning', onWarning))
    })
    const store = memoryStore({ pruneInterval: 0 })
    const { visitor } = await frameworkSite(test, HANDLERS['writes all at once'] as Handler, { isSaved: false, store })
    const ada = visitor()
    assert.equal((await ada.visit('/hello')).text, 'Hello ada')
    assert.deepEqual([ada.cookies.size, await keysOf(store)], [0, []])
    const { code, message } = await warned
    assert.deepEqual([code, heard[0]?.reason], ['ERR_SESSION_HEADERS_SENT', 'headers sent'])
    assert.match(message, /await session\.save\(\)/)
  })

  it('still saves the changes of a session that there was, late, and says so', async (test) => {
    const heard = reports(test)
    const { visitor, errors } = await companionSite(test, {}, (app, sessions) => {
      app.use(sessions)
      app.use(async (ctx) => {
        if (ctx.path === '/in') sessionOf(ctx)['name'] = ctx.body = 'ada'
        else {
          sessionOf(ctx)['name'] = 'Ada'
          await handOver(HANDLERS['writes all at once'] as Handler)(ctx)
        }
      })
    })
    const ada = visitor()
    await ada.visit('/in')
    await ada.visit('/')
    assert.equal((await ada.visit('/')).text, 'Hello Ada')
    assert.deepEqual([heard[0]?.reason, errors], ['committed after the headers', []])
  })

  it('may change a session with update() while it streams', async (test) => {
    const { visitor } = await frameworkSite(test, async (_req, res) => {
      res.flushHeaders()
      await getSession().update((newest) => void Object.assign(newest, { name: 'countess' }))
      res.end(page())
    })
    const ada = visitor()
    await ada.visit('/hello')
    assert.equal((await ada.visit('/')).text, 'Hello countess')
  })
})
