import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import Koa from 'koa'
import { crossOrigin, type CrossOriginOptions } from '../../src/index.ts'
import { inBrowser } from './one-browser.ts'
import { follow } from '../support/clients/browser-pages.ts'
import { serve } from '../support/sites/http.ts'

/** What Chromium shows after a form on a page of `from` was sent to `to`. The site answers to any host. */
async function sent(
  test: TestContext,
  from: string,
  to: string,
  options: (address: (host: string) => string) => CrossOriginOptions = () => ({}),
): Promise<string | null> {
  const app = new Koa()
  let protect: Koa.Middleware = (_ctx, next) => next() // until the port is known
  app.use((ctx, next) => protect(ctx, next))
  app.use((ctx) => {
    ctx.type = 'html'
    ctx.body =
      ctx.method === 'POST'
        ? '<h1>Done</h1>'
        : `<form method="post" action="http://${to}:${ctx.req.socket.localPort}/change"><button>Send</button></form>`
  })
  const { port } = await serve(test, app)
  const address = (host: string): string => `http://${host}:${port}`
  protect = crossOrigin(options(address))
  return inBrowser({}, async (page) => {
    await page.goto(`${address(from)}/page`)
    await follow(page, 'button')
    return page.textContent('body')
  })
}

const REFUSED = 'This request comes from a page of another origin.'

describe('crossOrigin(), in Chromium', () => {
  it('lets through the forms of the site itself, with and without what browsers say to localhost alone', async (test) => {
    assert.equal(await sent(test, 'localhost', 'localhost'), 'Done')
    assert.equal(await sent(test, 'shop.test', 'shop.test'), 'Done')
  })

  it('refuses the form of another site, and of another host of the same site', async (test) => {
    assert.equal(await sent(test, 'other.test', 'shop.test'), REFUSED)
    assert.equal(await sent(test, 'blog.shop.test', 'shop.test'), REFUSED)
    assert.equal(await sent(test, 'other.test', 'localhost'), REFUSED)
  })

  it('lets through the form of a trusted origin', async (test) => {
    const trusting = (address: (host: string) => string): CrossOriginOptions => ({ trusted: [address('admin.test')] })
    assert.equal(await sent(test, 'admin.test', 'shop.test', trusting), 'Done')
    assert.equal(await sent(test, 'other.test', 'shop.test', trusting), REFUSED)
  })
})
