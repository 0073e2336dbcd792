import assert from 'node:assert/strict'
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { describe, it } from 'node:test'
import type Koa from 'koa'
import { sessionOf, siteWith } from '../support/sites/http.ts'
import { recordingStore } from '../support/stores/recording-store.ts'

class Attempts {
  count = 1
}

describe('a commit that fails after ctx.throw(401)', () => {
  const CHANGES: Record<string, (ctx: Koa.Context) => void> = {
    'a value that cannot be stored': (ctx) => (sessionOf(ctx)['attempts'] = new Attempts()),
    'a value that is too large': (ctx) => (sessionOf(ctx)['attempts'] = 'x'.repeat(70_000)),
    'a save that nobody awaited': (ctx) => {
      sessionOf(ctx)['attempts'] = new Attempts()
      void ctx.session.save()
    },
  }
  for (const [name, change] of Object.entries(CHANGES)) {
    it(`fails the request, as it does without the error: ${name}`, async (test) => {
      const logged: unknown[] = []
      const { agent, app } = await siteWith(test, {}, (ctx) => {
        change(ctx)
        if (ctx.path === '/wrong') ctx.throw(401, 'Wrong password')
        ctx.body = 'ok'
      })
      app.on('error', (error: { code?: string }) => logged.push(error.code))
      const [right, wrong] = [await agent().get('/'), await agent().get('/wrong')]
      assert.deepEqual([right.status, right.cookies], [500, []])
      assert.deepEqual([wrong.status, wrong.cookies], [500, []])
      assert.equal(logged.length, 2)
      assert.equal(logged[0], logged[1])
    })
  }

  it('is a 503 while the store is down: who guesses passwords must not go uncounted', async (test) => {
    const store = recordingStore()
    const { agent } = await siteWith(test, { store }, (ctx) => {
      sessionOf(ctx)['attempts'] = (sessionOf(ctx)['attempts'] ?? 0) + 1
      if (ctx.path === '/wrong') ctx.throw(401, 'Wrong password')
      ctx.body = 'ok'
    })
    const browser = agent()
    await browser.get('/')
    store.failAll('save')
    assert.equal((await browser.get('/wrong')).status, 503)
    store.mend()
    assert.equal((await browser.get('/wrong')).status, 401)
  })

  it('changes nothing of an error of the application’s own: the error that came first is answered', async (test) => {
    const { agent } = await siteWith(test, {}, (ctx) => {
      sessionOf(ctx)['attempts'] = new Attempts()
      ctx.throw(502, 'The mail server is down')
    })
    assert.equal((await agent().get('/')).status, 502)
  })
})

describe('a thrown thing that is no error, whatever status it has', () => {
  it('is a failure to Koa, which answers 500, so nothing is stored', async (test) => {
    const store = recordingStore()
    const { agent } = await siteWith(test, { store }, (ctx) => {
      sessionOf(ctx)['attempts'] = 1
      throw { status: 404 } // oxlint-disable-line no-throw-literal
    })
    const reply = await agent().get('/')
    assert.deepEqual([reply.status, reply.cookies, store.count('save')], [500, [], 0])
  })
})

describe('an error handler of the application’s own', () => {
  const HANDLERS: Record<string, [onerror: (this: Koa.Context, error: Error) => unknown, status: number]> = {
    'that updates the session redirects': [
      async function (error) {
        await this.session.update((fresh) => fresh.flash('notice', error.message))
        this.res.writeHead(302, { Location: '/' }).end()
      },
      302,
    ],
    'that only sets something gets Koa’s answer, and the log says what to write instead': [
      async function (error) {
        this.session.flash('notice', error.message)
        this.res.writeHead(302, { Location: '/' }).end()
      },
      500,
    ],
    'that does the same at once gets it too': [
      function (error) {
        this.session.flash('notice', error.message)
        this.res.writeHead(302, { Location: '/' }).end()
      },
      500,
    ],
  }
  for (const [name, [onerror, status]] of Object.entries(HANDLERS)) {
    it(name, async (test) => {
      const logged: string[] = []
      const { agent, app } = await siteWith(
        test,
        {},
        (ctx) => {
          if (ctx.path === '/form') ctx.throw(400, 'That name is taken')
          sessionOf(ctx)['n'] = 1
          ctx.body = { notice: ctx.session.flash('notice') ?? null }
        },
        (app) => {
          app.context.onerror = function (this: Koa.Context, error: Error | null) {
            return error ? onerror.call(this, error) : undefined
          }
        },
      )
      app.on('error', (error: Error) => logged.push(error.message))
      const browser = agent()
      // The first request of an application goes another way through Koa than the later ones.
      assert.equal((await browser.get('/form')).status, status === 302 ? 302 : 500)
      await browser.get('/')
      assert.equal((await browser.get('/form')).status, status)
      assert.deepEqual((await browser.get('/')).json(), { notice: status === 302 ? 'That name is taken' : null })
      if (status === 500) assert.match(logged.at(-1) ?? '', /session\.update/)
    })
  }

  it('that fails by itself is left alone', async (test) => {
    const { app } = await siteWith(
      test,
      {},
      (ctx) => ctx.throw(400),
      (app) => {
        app.context.onerror = () => {
          throw new RangeError('its own')
        }
      },
    )
    const ctx = app.createContext(...ownRequest())
    await assert.rejects(async () => ctx.onerror(new Error('any')), RangeError)
  })
})

function ownRequest(): Parameters<Koa['createContext']> {
  const request = new IncomingMessage(new Socket())
  return [request, new ServerResponse(request)]
}
