import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { SessionOptions } from '../../src/index.ts'
import { sessionOf, siteWith } from '../support/sites/http.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const SETUPS: Record<string, (test: import('node:test').TestContext) => SessionOptions> = {
  'memory, cached': () => ({ store: 'memory:' }),
  'memory, uncached': () => ({ store: 'memory:', cache: false }),
  'files, cached': () => ({ store: `file:${temporaryDirectory()}` }),
  'files, uncached': () => ({ store: `file:${temporaryDirectory()}`, cache: false }),
}

/** One of each way in which values are handed out: copied, decoded anew, put together from a list of its parts. */
function everyShape(): Record<string, unknown> {
  return {
    plain: { items: [{ id: 1 }], deep: { deeper: { deepest: [] } } },
    list: [[1], [2]],
    numbered: { 7: { count: 1 } },
    dated: { at: new Date(0), tags: new Set(['a']), map: new Map([['k', { v: 1 }]]) },
  }
}

describe('G6: isolation', () => {
  for (const [name, optionsFor] of Object.entries(SETUPS)) {
    it(`a nested change is noticed and saved, wherever it is: ${name}`, async (test) => {
      const changes: Record<string, (session: ReturnType<typeof sessionOf>) => void> = {
        push: (s) => s['plain'].items.push({ id: 2 }),
        deep: (s) => s['plain'].deep.deeper.deepest.push('x'),
        within: (s) => (s['plain'].items[0].id = 9),
        remove: (s) => delete s['plain'].deep,
        list: (s) => s['list'][0].reverse().push(3),
        numbered: (s) => s['numbered'][7].count++,
        date: (s) => s['dated'].at.setTime(5),
        set: (s) => s['dated'].tags.add('b'),
        map: (s) => (s['dated'].map.get('k').v = 2),
        order: (s) => s['list'].sort(() => -1),
      }
      let seen: unknown
      const { agent } = await siteWith(test, optionsFor(test), (ctx) => {
        const session = sessionOf(ctx)
        if (ctx.path === '/fill') Object.assign(session, everyShape())
        changes[ctx.path.slice(1)]?.(session)
        seen = structuredClone({ ...session })
        ctx.body = ''
      })
      for (const change of Object.keys(changes)) {
        const browser = agent()
        await browser.get('/fill')
        const before = seen
        await browser.get(`/${change}`)
        const changed = seen
        assert.notDeepEqual(changed, before, change)
        await browser.get('/')
        assert.deepEqual(seen, changed, `${change} was saved`)
      }
    })

    it(`a change shows to nobody before it is saved, and never if the request fails: ${name}`, async (test) => {
      let resume: () => void = () => {}
      let parked = new Promise<void>(() => {})
      const { agent } = await siteWith(test, optionsFor(test), async (ctx) => {
        const session = sessionOf(ctx)
        if (ctx.path === '/fill') Object.assign(session, everyShape())
        if (ctx.path === '/change') {
          session['plain'].items.push('mine')
          session['plain'].deep.deeper.deepest.push('mine')
          session['list'][0].push('mine')
          session['numbered'][7].count = 'mine'
          session['dated'].tags.add('mine')
          session['top'] = 'mine'
          await new Promise<void>((go) => {
            resume = go
            arrive()
          })
          throw new Error('this request fails')
        }
        ctx.body = JSON.stringify({ ...session, tags: [...session['dated'].tags] })
      })
      let arrive!: () => void
      parked = new Promise((done) => (arrive = done))
      const browser = agent()
      const before = (await browser.get('/fill')).text
      const failing = browser.get('/change')
      await parked
      assert.equal((await browser.get('/')).text, before, 'during')
      resume()
      assert.equal((await failing).status, 500)
      assert.equal((await browser.get('/')).text, before, 'after')
    })

    it(`what a handler keeps of one request cannot change another: ${name}`, async (test) => {
      const kept: ReturnType<typeof everyShape>[] = []
      const { agent } = await siteWith(test, optionsFor(test), (ctx) => {
        const session = sessionOf(ctx)
        if (ctx.path === '/fill') {
          const values = everyShape()
          Object.assign(session, values)
          kept.push(values)
        } else kept.push({ ...session })
        ctx.body = JSON.stringify({ ...session, tags: [...session['dated'].tags] })
      })
      const browser = agent()
      const before = (await browser.get('/fill')).text
      for (let round = 0; round < 3; round++) {
        assert.equal((await browser.get('/')).text, before)
        for (const values of kept) {
          const { plain, list, numbered, dated } = values as Record<string, any> // oxlint-disable-line typescript/no-explicit-any
          plain.items.push('late')
          plain.deep.deeper.deepest = 'late'
          list[0].push('late')
          numbered[7].count = 'late'
          dated.tags.add('late')
          dated.at.setTime(9)
        }
      }
      assert.equal((await browser.get('/')).text, before)
    })

    it(`a request sees the state that it loaded, plus its own changes: ${name}`, async (test) => {
      let resume: () => void = () => {}
      let arrive!: () => void
      const parked = new Promise<void>((done) => (arrive = done))
      const { agent } = await siteWith(test, optionsFor(test), async (ctx) => {
        const session = sessionOf(ctx)
        if (ctx.path === '/write') Object.assign(session, ctx.query)
        if (ctx.path === '/slow') {
          session['own'] = 'new'
          await new Promise<void>((go) => {
            resume = go
            arrive()
          })
        }
        ctx.body = { ...session }
      })
      const browser = agent()
      await browser.get('/write?a=1&own=old')
      const slow = browser.get('/slow')
      await parked
      await browser.get('/write?a=2&b=2')
      resume()
      assert.deepEqual((await slow).json(), { a: '1', own: 'new' })
      assert.deepEqual((await browser.get('/')).json(), { a: '2', b: '2', own: 'new' })
    })
  }

  it('two visitors never see each other, 200 requests interleaved', async (test) => {
    const { agent } = await siteWith(test, {}, async (ctx) => {
      const session = sessionOf(ctx)
      session['who'] ??= ctx.query['who']
      await new Promise(setImmediate)
      session['seen'] = [...(session['seen'] ?? []), ctx.query['who']]
      ctx.body = { who: session['who'], seen: session['seen'] }
    })
    const visitors = Array.from({ length: 20 }, (_, who) => ({ who: `${who}`, browser: agent() }))
    for (let round = 0; round < 10; round++) {
      await Promise.all(
        visitors.map(async ({ who, browser }) => {
          const { who: told, seen } = (await browser.get(`/?who=${who}`)).json<{ who: string; seen: string[] }>()
          assert.equal(told, who)
          assert.deepEqual(seen, Array(round + 1).fill(who))
        }),
      )
    }
  })
})
