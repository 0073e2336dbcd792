import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { cart, signIn } from '../support/clients/example-pages.ts'
import { startExample } from '../support/sites/example-site.ts'
import { isOpen, until } from '../support/servers/server-process.ts'
import { Visitor } from '../support/clients/visitor.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

describe('starting and ending the example site', () => {
  it('says where it is and how to keep sessions elsewhere, and of the key it made for itself', async () => {
    const directory = temporaryDirectory()
    const site = await startExample({ directory })
    await new Visitor(site.url).visit('/')
    const code = await site.stop()
    assert.equal(code, 0)
    const [where, store, key, ...more] = site.output().trim().split('\n')
    assert.equal(where, `The example is at ${site.url}`)
    assert.match(store!, /SESSION_STORE=redis:\/\/127\.0\.0\.1:6379 npm start$/)
    assert.match(key!, /^Made a key to sign cookies with/)
    assert.deepEqual(more, [])
    assert.equal(statSync(join(directory, '.sessions/signing-key')).mode & 0o777, 0o600)
  })

  it('says at once that the store does not answer, and shows the home page all the same', async () => {
    const site = await startExample({ directory: temporaryDirectory(), env: { SESSION_STORE: 'redis://127.0.0.1:1' } })
    assert.equal((await new Visitor(site.url).visit('/')).status, 200)
    await until(() => /The session store .*The site tries again with each visit/s.test(site.output()))
    assert.equal(await site.stop(), 0)
  })

  it('keeps everybody signed in over a restart', async () => {
    const directory = temporaryDirectory()
    const first = await startExample({ directory })
    const visitor = new Visitor(first.url)
    await signIn(visitor)
    await first.stop()
    const second = await startExample({ directory })
    visitor.site = second.url
    assert.match((await visitor.visit('/profile')).text, /Ada Lovelace/)
    assert.doesNotMatch(second.output(), /Made a key/)
    await second.stop()
  })

  it('agrees on one key when two processes make the first start together', async () => {
    const directory = temporaryDirectory()
    const sites = await Promise.all([startExample({ directory }), startExample({ directory })])
    const visitor = new Visitor(sites[0].url)
    await signIn(visitor)
    visitor.site = sites[1].url
    assert.match((await visitor.visit('/profile')).text, /Ada Lovelace/)
    await Promise.all(sites.map((site) => site.stop()))
  })

  it('takes the key from SESSION_KEY, and after a rotation the old one from SESSION_KEY_OLD', async () => {
    const directory = temporaryDirectory()
    const first = await startExample({ directory, env: { SESSION_KEY: 'the first key of thirty-two bytes' } })
    const visitor = new Visitor(first.url)
    await signIn(visitor)
    await first.stop()
    const env = {
      SESSION_KEY: 'the second key, also long enough',
      SESSION_KEY_OLD: 'the first key of thirty-two bytes',
    }
    const second = await startExample({ directory, env })
    visitor.site = second.url
    const page = await visitor.visit('/profile')
    assert.match(page.text, /Ada Lovelace/)
    assert.equal(page.cookies.length, 1)
    assert.doesNotMatch(first.output() + second.output(), /Made a key|thirty-two bytes|long enough/)
    await second.stop()
  })

  it('explains a wrong setting in one sentence', async () => {
    const directory = temporaryDirectory()
    const site = await startExample({ directory })
    const { port } = new URL(site.url)
    await assert.rejects(startExample({ directory, env: { PORT: port } }), /It said:\nThis port is taken\. .*\n$/)
    await assert.rejects(startExample({ directory, env: { SESSION_KEY: 'short' } }), /It said:\n.*at least 16.*\n$/)
    await site.stop()
  })

  it('finishes the requests under way before it ends', async () => {
    const directory = temporaryDirectory()
    const site = await startExample({ directory })
    const visitor = new Visitor(site.url)
    await visitor.visit('/')
    const send = await visitor.begin('/cart/add', { token: visitor.token, tea: 'mint' })
    const stopped = site.stop()
    await until(async () => !(await isOpen(visitor.port)))
    assert.equal(await send(), 303)
    assert.equal(await stopped, 0)

    const next = await startExample({ directory })
    visitor.site = next.url
    assert.deepEqual(cart(await visitor.visit('/cart')), { mint: 1 })
    await next.stop()
  })
})
