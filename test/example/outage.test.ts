import assert from 'node:assert/strict'
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { cart, signIn } from '../support/clients/example-pages.ts'
import { startExample, type ExampleSite } from '../support/sites/example-site.ts'
import { Visitor } from '../support/clients/visitor.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

describe('the example site while its session store is down', () => {
  const directory = temporaryDirectory()
  const sessions = join(directory, '.sessions')
  const away = join(directory, 'away')
  const [visitor, newcomer] = [new Visitor(''), new Visitor('')]
  let site: ExampleSite

  before(async () => {
    site = await startExample({ directory })
    visitor.site = newcomer.site = site.url
    await signIn(visitor)
    await visitor.submit('/cart/add', { tea: 'jasmine' })
    renameSync(sessions, away)
    writeFileSync(sessions, 'not a folder')
  })
  after(async () => {
    await site?.stop()
  })

  it('shows a friendly page with the status 503, and leaves the cookie alone', async () => {
    for (const path of ['/cart', '/profile', '/sign-in']) {
      const answer = await visitor.get(path)
      assert.equal(answer.status, 503, path)
      assert.match(answer.text, /We will be right back/)
      assert.equal(answer.headers['retry-after'], '5')
      assert.equal(answer.headers['set-cookie'], undefined)
    }
    assert.equal((await visitor.post('/sign-out', { token: visitor.token })).status, 503)
  })

  it('still shows the home page, to those with a session and to those without', async () => {
    for (const who of [visitor, newcomer]) {
      const page = await who.visit('/')
      assert.equal(page.status, 200)
      assert.match(page.text, /Jasmine pearls/)
      assert.match(page.text, /resting for a moment/)
      assert.equal(page.headers['set-cookie'], undefined)
    }
  })

  it('has signed nobody out and lost nothing when the store is back', async () => {
    rmSync(sessions)
    renameSync(away, sessions)
    const page = await visitor.visit('/cart')
    assert.match(page.text, /Ada Lovelace/)
    assert.deepEqual(cart(page), { jasmine: 1 })
  })
})
