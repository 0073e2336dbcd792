import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { cachingProxy } from '../support/proxies/caching-proxy.ts'
import { Agent, sessionOf, siteWith } from '../support/sites/http.ts'

describe('nginx as a cache in front of the site, which keeps all pages for a minute', () => {
  it('serves a page that does not use the session to everybody, without asking the site again', async (test) => {
    const visitors = await behindTheProxy(test)
    for (const visitor of visitors) await visitor.get('/in?user=somebody')
    const answers = []
    for (const visitor of visitors) answers.push((await visitor.get('/imprint')).headers['x-cache'])
    assert.deepEqual(answers, ['MISS', 'HIT'])
  })

  it('serves nobody the page that was made for another visitor', async (test) => {
    const [ada, bob] = await behindTheProxy(test)
    await ada.get('/in?user=ada')
    await bob.get('/in?user=bob')
    for (let turn = 0; turn < 2; turn++) {
      assert.equal((await ada.get('/profile')).text, 'ada')
      assert.equal((await bob.get('/profile')).text, 'bob')
    }
  })
})

async function behindTheProxy(test: TestContext): Promise<[Agent, Agent]> {
  const { port } = await siteWith(test, {}, (ctx) => {
    if (ctx.path === '/in') sessionOf(ctx)['user'] = ctx.query['user']
    ctx.body = ctx.path === '/profile' ? sessionOf(ctx)['user'] : 'The same for everybody'
  })
  const proxy = await cachingProxy(port, { keep: '1m' })
  test.after(() => proxy.stop())
  return [new Agent(proxy.port), new Agent(proxy.port)]
}
