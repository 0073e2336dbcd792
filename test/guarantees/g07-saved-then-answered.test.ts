import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { describe, it } from 'node:test'
import type Koa from 'koa'
import { memoryStore, type Store } from '../../src/index.ts'
import { sessionOf, siteWith } from '../support/sites/http.ts'
import { delayed } from '../support/stores/stores.ts'

/** How handlers answer. Each body says something as early as it can. */
const ANSWERS: Record<string, (ctx: Koa.Context) => unknown> = {
  'a text': (ctx) => (ctx.body = 'text'),
  'an object': (ctx) => (ctx.body = { a: 1 }),
  'a redirect': (ctx) => ctx.redirect('/elsewhere'),
  'no content (204)': (ctx) => (ctx.status = 204),
  'not modified (304)': (ctx) => (ctx.status = 304),
  'a stream': (ctx) => (ctx.body = Readable.from(['one', 'two'])),
  'a web stream': (ctx) => (ctx.body = new Blob(['one', 'two']).stream()),
  'a client error (404)': (ctx) => ctx.throw(404),
  'nothing at all (404)': () => {},
  'a status of 500 without a throw': (ctx) => (ctx.status = 500),
  'a response of its own, after save()': async (ctx) => {
    await ctx.session.save()
    ctx.respond = false
    ctx.res.writeHead(200, { 'Content-Type': 'text/plain' })
    ctx.res.end('by hand')
  },
  'flushed headers, after save()': async (ctx) => {
    await ctx.session.save()
    ctx.status = 200
    ctx.flushHeaders()
    ctx.body = Readable.from(['event'])
  },
}

describe('G7: the record is in the store before the first byte of the response', () => {
  for (const method of ['GET', 'HEAD']) {
    for (const [what, answer] of Object.entries(ANSWERS)) {
      it(`${method}, answered with ${what}`, async (test) => {
        const events: string[] = []
        const inner = memoryStore()
        const store = noting(events, delayed(inner, 25))
        const { port } = await siteWith(test, { store }, async (ctx) => {
          sessionOf(ctx)['n'] = Number(sessionOf(ctx)['n'] ?? 0) + 1
          await answer(ctx)
        })

        let cookie: string | undefined
        for (const round of ['the first one', 'the next one']) {
          events.length = 0
          const asked = request({ host: '127.0.0.1', port, method, headers: cookie === undefined ? {} : { cookie } })
          asked.on('socket', (socket) => socket.once('data', () => events.push('first byte')))
          asked.end()
          const [response] = (await once(asked, 'response')) as [IncomingMessage]
          response.resume()
          await once(response, 'end')
          assert.deepEqual(events, ['saved', 'first byte'], round)
          const set = response.headers['set-cookie']
          assert.equal(
            set?.length,
            cookie === undefined ? 1 : undefined,
            'the cookie arrives with a new session, and only then',
          )
          cookie ??= set?.[0]?.split(';')[0]
        }
      })
    }
  }
})

function noting(events: string[], inner: Store): Store {
  return {
    ...inner,
    async save(...args) {
      const saved = await inner.save(...args)
      events.push('saved')
      return saved
    },
  }
}
