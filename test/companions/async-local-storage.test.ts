import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { EventEmitter, once } from 'node:events'
import { Readable } from 'node:stream'
import { describe, it, type TestContext } from 'node:test'
import Koa from 'koa'
import { getSession, tryGetSession } from '../../src/index.ts'
import { companionSite, type CompanionSite } from '../support/sites/companion-site.ts'
import { currentSession, sessionOf } from '../support/sites/http.ts'
import type { Visitor } from '../support/clients/visitor.ts'

/** Whether Koa's own context and the session are of the same request: `place` and then what each of them knows. */
type Sight = [place: string, path: string | undefined, name: unknown]

interface Watched extends CompanionSite {
  readonly sights: Sight[]
  visit(visitor: Visitor, path: string): Promise<void>
}

/** Koa's own storage, or one that the application brings. */
const APPLICATIONS: Record<string, () => Koa> = {
  'asyncLocalStorage: true': () => new Koa({ asyncLocalStorage: true }),
  'an AsyncLocalStorage of the application': () =>
    new Koa({ asyncLocalStorage: new AsyncLocalStorage<Koa.DefaultContext>() }),
}

function currentPath(app: Koa): string | undefined {
  return app.currentContext?.['path'] as string | undefined
}

async function watchedSite(test: TestContext, app: Koa): Promise<Watched> {
  const sights: Sight[] = []
  const ends = new EventEmitter()
  const look = (place: string): void => {
    const session = tryGetSession() as Record<string, unknown> | undefined
    sights.push([place, currentPath(app), session?.['name']])
  }
  app.on('error', () => look('error of the application'))
  const site = await companionSite(
    test,
    {},
    (koa, sessions) => {
      koa.use(sessions)
      koa.use(async (ctx) => {
        if (ctx.path === '/in') {
          await getSession().regenerate()
          currentSession()['name'] = ctx.query['name']
          ctx.body = ''
          return
        }
        look('handler')
        ctx.res.on('finish', () => look('finish'))
        ctx.res.on('close', () => ends.emit('close'))
        await new Promise(setImmediate)
        look('after an await')
        if (ctx.path === '/fail') throw new Error('as it happens')
        ctx.body = Readable.from(
          (async function* () {
            look('body')
            await new Promise(setImmediate)
            look('body after an await')
            yield sessionOf(ctx)['name']
          })(),
        )
      })
    },
    app,
  )
  return {
    ...site,
    sights,
    async visit(visitor, path) {
      const closed = once(ends, 'close')
      await visitor.visit(path)
      await closed
    },
  }
}

for (const [name, create] of Object.entries(APPLICATIONS)) {
  describe(`Koa with ${name}`, () => {
    it('has its context and the session side by side, at every place of a request', async (test) => {
      const { visitor, visit, sights } = await watchedSite(test, create())
      const ada = visitor()
      await ada.visit('/in?name=ada')
      await visit(ada, '/page')
      assert.deepEqual(
        sights,
        ['handler', 'after an await', 'body', 'body after an await', 'finish'].map((place) => [place, '/page', 'ada']),
      )
      sights.length = 0
      await visit(ada, '/fail')
      assert.deepEqual(
        sights,
        ['handler', 'after an await', 'error of the application', 'finish'].map((place) => [place, '/fail', 'ada']),
      )
    })

    it('keeps visitors apart who come at once', async (test) => {
      const { visitor, sights } = await watchedSite(test, create())
      const names = Array.from({ length: 10 }, (_, index) => `visitor-${index}`)
      const texts = await Promise.all(
        names.map(async (who) => {
          const one = visitor()
          await one.visit(`/in?name=${who}`)
          return (await one.visit(`/${who}`)).text
        }),
      )
      assert.deepEqual(texts, names)
      assert.ok(sights.length >= 40)
      for (const [place, path, who] of sights) assert.equal(path, `/${String(who)}`, place)
    })

    it('may find the session by its own context too: app.currentContext.session', async (test) => {
      const app = create()
      const { visitor } = await companionSite(
        test,
        {},
        (_, sessions) =>
          app.use(sessions).use((ctx) => {
            ctx.body = String(app.currentContext?.['session'] === getSession())
          }),
        app,
      )
      assert.equal((await visitor().visit('/')).text, 'true')
    })
  })
}
