import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { session } from '../../src/index.ts'
import { signIn as signInWithout } from '../../src/tools/testing.ts'
import { ADA, GRACE, cart, notice, signIn, visits } from '../support/clients/example-pages.ts'
import { startExample, type ExampleSite } from '../support/sites/example-site.ts'
import { Visitor } from '../support/clients/visitor.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

describe('the example site', () => {
  const directory = temporaryDirectory()
  let site: ExampleSite

  before(async () => {
    site = await startExample({ directory })
  })
  after(async () => {
    await site?.stop()
  })

  it('counts the visits of each visitor', async () => {
    const one = new Visitor(site.url)
    const other = new Visitor(site.url)
    await one.visit('/')
    await one.visit('/')
    assert.equal(visits(await one.visit('/')), '3')
    assert.equal(visits(await other.visit('/')), '1st')
  })

  it('keeps a cart: adds, changes the quantity, removes', async () => {
    const visitor = new Visitor(site.url)
    await visitor.visit('/')
    await visitor.submit('/cart/add', { tea: 'sencha' })
    await visitor.submit('/cart/add', { tea: 'mint' })
    assert.deepEqual(cart(await visitor.submit('/cart/add', { tea: 'sencha' })), { sencha: 2, mint: 1 })
    assert.deepEqual(cart(await visitor.submit('/cart/quantity', { tea: 'mint', quantity: '5' })), {
      sencha: 2,
      mint: 5,
    })
    assert.deepEqual(cart(await visitor.submit('/cart/remove', { tea: 'sencha' })), { mint: 5 })
    assert.deepEqual(cart(await visitor.visit('/cart')), { mint: 5 })
  })

  it('keeps the cart as it is when the quantity is none', async () => {
    const visitor = new Visitor(site.url)
    await visitor.visit('/')
    await visitor.submit('/cart/add', { tea: 'sencha' })
    for (const quantity of ['-1', '1.5', 'many', 'Infinity']) {
      const page = await visitor.submit('/cart/quantity', { tea: 'sencha', quantity })
      assert.equal(notice(page), 'A quantity is a whole number.')
      assert.deepEqual(cart(page), { sencha: 1 })
    }
  })

  it('loses none of the teas that are added at once', async () => {
    const visitor = new Visitor(site.url)
    await visitor.visit('/')
    const teas = ['sencha', 'oolong', 'assam', 'rooibos', 'jasmine', 'mint']
    const forms = await Promise.all(
      [...teas, ...teas].map((tea) => visitor.begin('/cart/add', { token: visitor.token, tea })),
    )
    await Promise.all(forms.map((send) => send()))
    assert.deepEqual(cart(await visitor.visit('/cart')), {
      sencha: 2,
      oolong: 2,
      assam: 2,
      rooibos: 2,
      jasmine: 2,
      mint: 2,
    })
  })

  it('tells something once', async () => {
    const visitor = new Visitor(site.url)
    await visitor.visit('/')
    assert.equal(notice(await visitor.submit('/cart/add', { tea: 'mint' })), 'Nana mint is in your cart.')
    assert.equal(notice(await visitor.visit('/cart')), undefined)
  })

  it('tells it on the home page too, which saves the session before it is shown', async () => {
    const visitor = new Visitor(site.url)
    await visitor.visit('/')
    await visitor.post('/cart/add', { token: visitor.token, tea: 'mint' })
    assert.equal(notice(await visitor.visit('/')), 'Nana mint is in your cart.')
    assert.equal(notice(await visitor.visit('/')), undefined)
  })

  it('signs in under a new id, with the same cart, and the old id stays signed out', async () => {
    const visitor = new Visitor(site.url)
    await visitor.visit('/')
    await visitor.submit('/cart/add', { tea: 'assam' })
    const before = visitor.cookies.get('sid')
    await visitor.visit('/sign-in')
    const page = await visitor.submit('/sign-in', ADA)
    assert.equal(notice(page), 'Welcome, Ada Lovelace.')
    assert.match(page.text, /<h1>Ada Lovelace<\/h1>/)
    assert.match(page.text, / \d\d:\d\d:\d\d UTC<\/time>/)
    assert.notEqual(visitor.cookies.get('sid'), before)
    assert.deepEqual(cart(await visitor.visit('/cart')), { assam: 1 })

    const thief = new Visitor(site.url)
    thief.cookies.set('sid', before!)
    assert.doesNotMatch((await thief.visit('/profile')).text, /Ada Lovelace/)
  })

  it('answers a wrong password and an unknown name alike, with a redirect and a notice', async () => {
    for (const wrong of [
      { name: 'ada', password: 'wrong' },
      { name: 'nobody', password: 'analytical engine' },
    ]) {
      const visitor = new Visitor(site.url)
      await visitor.visit('/sign-in')
      const answer = await visitor.post('/sign-in', { token: visitor.token, ...wrong })
      assert.equal(answer.status, 303)
      assert.equal(answer.headers.location, '/sign-in')
      assert.equal(notice(await visitor.visit('/sign-in')), 'That name and password do not go together.')
      assert.equal(notice(await visitor.visit('/sign-in')), undefined)
    }
  })

  it('keeps the name that was typed with a wrong password, once', async () => {
    const visitor = new Visitor(site.url)
    await visitor.visit('/sign-in')
    const named = /name="name" value="&lt;ada&gt;"/
    assert.match((await visitor.submit('/sign-in', { name: '<ada>', password: 'wrong' })).text, named)
    assert.doesNotMatch((await visitor.visit('/sign-in')).text, named)
  })

  it('asks who changes the password to confirm who they are, and then signs out everybody else', async () => {
    const elsewhere = new Visitor(site.url)
    await signIn(elsewhere, GRACE)
    assert.match((await elsewhere.visit('/password')).text, /<h1>Change your password/, 'signed in just now')

    // As if she had signed in long ago.
    const key = readFileSync(join(directory, '.sessions/signing-key'), 'utf8').trim()
    const sessions = session({ keys: [key], store: `file:${directory}/.sessions` })
    const [pair = ''] = (await signInWithout(sessions, { userId: 'grace' })).cookie.split(';')
    await sessions.close()
    const grace = new Visitor(site.url)
    grace.cookies.set('sid', pair.slice('sid='.length))
    const asking = await grace.visit('/password')
    assert.match(asking.text, /<h1>Confirm that it is you/)
    assert.match(asking.text, /<input name="name" value="grace" autocomplete="username" hidden/)
    const unasked = await grace.post('/password', { token: grace.token, password: 'a new password' })
    assert.deepEqual([unasked.status, unasked.headers.location], [303, '/confirm'])
    assert.equal(notice(await grace.submit('/confirm', { password: 'wrong' })), 'That is not your password.')
    const before = grace.cookies.get('sid')
    assert.match((await grace.submit('/confirm', { password: GRACE.password })).text, /<h1>Change your password/)
    assert.notEqual(grace.cookies.get('sid'), before)

    assert.match(notice(await grace.submit('/password', { password: 'short' })) ?? '', /at least 8 characters/)
    const changed = await grace.submit('/password', { password: 'a new password' })
    assert.equal(notice(changed), 'Your password is changed. You are signed out everywhere else.')
    assert.match(changed.text, /<h1>Grace Hopper/)
    assert.match((await elsewhere.visit('/profile')).text, /<h1>Sign in/)
    assert.doesNotMatch((await elsewhere.visit('/sign-in')).text, /first compiler/, 'the page gives away what works')
    assert.match((await elsewhere.submit('/sign-in', GRACE)).text, /do not go together/)
    assert.match((await elsewhere.submit('/sign-in', { name: 'grace', password: 'a new password' })).text, /Welcome/)
  })

  it('remembers for 30 days whoever asks for it, and nobody else', async () => {
    const visitor = new Visitor(site.url)
    await visitor.visit('/sign-in')
    const plain = await visitor.post('/sign-in', { token: visitor.token, ...ADA })
    assert.doesNotMatch(String(plain.cookies), /max-age|expires/i)
    await visitor.visit('/sign-in')
    const remembered = await visitor.post('/sign-in', { token: visitor.token, ...ADA, remember: 'yes' })
    const [, seconds] = /Max-Age=(\d+)/.exec(String(remembered.cookies)) ?? []
    assert.ok(Math.abs(Number(seconds) - 30 * 86_400) < 60, `Max-Age is ${seconds}`)
  })

  it('shows the profile to signed-in visitors only', async () => {
    const visitor = new Visitor(site.url)
    const answer = await visitor.get('/profile')
    assert.equal(answer.status, 303)
    assert.equal(notice(await visitor.visit('/sign-in')), 'Please sign in to see this page.')
  })

  it('signs out for good: the cookie is forgotten, and worth nothing to whoever kept it', async () => {
    const visitor = new Visitor(site.url)
    await signIn(visitor)
    const kept = visitor.cookies.get('sid')
    const page = await visitor.submit('/sign-out')
    assert.match(page.text, /You are signed out/)
    assert.equal(visitor.cookies.has('sid'), false)
    visitor.cookies.set('sid', kept!)
    assert.doesNotMatch((await visitor.visit('/profile')).text, /Ada Lovelace/)
  })

  it('lets nobody store a page that shows who is signed in', async () => {
    const visitor = new Visitor(site.url)
    await signIn(visitor)
    for (const path of ['/', '/cart', '/profile', '/no-such-page']) {
      assert.equal((await visitor.visit(path)).headers['cache-control'], 'no-store', path)
    }
  })

  it('refuses forms without the token, with a wrong one, and with that of another visitor', async () => {
    const visitor = new Visitor(site.url)
    const other = new Visitor(site.url)
    await Promise.all([visitor.visit('/'), other.visit('/')])
    for (const path of ['/cart/add', '/cart/quantity', '/cart/remove', '/sign-in', '/sign-out', '/devices/sign-out']) {
      for (const token of ['', 'x'.repeat(43), other.token]) {
        const answer = await visitor.post(path, { token, tea: 'mint' })
        assert.equal(answer.status, 403, path)
        assert.match(answer.text, /This form is out of date/)
      }
    }
    assert.deepEqual(cart(await visitor.visit('/cart')), {})
    assert.equal((await new Visitor(site.url).post('/sign-in', { token: '', ...ADA })).status, 403)
  })

  it('has a page for what it does not have, and for what is too large', async () => {
    const visitor = new Visitor(site.url)
    const missing = await visitor.visit('/no-such-page')
    assert.equal(missing.status, 404)
    assert.match(missing.text, /There is no such page/)
    const large = await visitor.post('/cart/add', { tea: 'x'.repeat(20_000) })
    assert.equal(large.status, 413)
    assert.match(large.text, /That was too much/)
  })

  it('starts no session for a page that uses none', async () => {
    const visitor = new Visitor(site.url)
    for (const path of ['/style.css', '/signed-out', '/no-such-page']) {
      assert.equal((await visitor.visit(path)).headers['set-cookie'], undefined, path)
    }
  })

  it('counts every one of 200 visits that arrive at two processes at once', async () => {
    const second = await startExample({ directory })
    try {
      const visitor = new Visitor(site.url)
      await visitor.visit('/')
      const urls = Array.from({ length: 200 }, (_, index) => (index % 2 === 0 ? site.url : second.url))
      await Promise.all(urls.map((url) => visitor.visit(`${url}/`)))
      assert.equal(visits(await visitor.visit('/')), '202')
    } finally {
      await second.stop()
    }
  })

  it('shares its sessions with another process on the same files', async () => {
    const second = await startExample({ directory })
    try {
      const visitor = new Visitor(site.url)
      await signIn(visitor)
      await visitor.submit('/cart/add', { tea: 'oolong' })
      visitor.site = second.url
      assert.deepEqual(cart(await visitor.submit('/cart/add', { tea: 'oolong' })), { oolong: 2 })
      await visitor.submit('/cart/add', { tea: 'mint' })
      visitor.site = site.url
      const page = await visitor.visit('/cart')
      assert.deepEqual(cart(page), { oolong: 2, mint: 1 })
      assert.match(page.text, /Ada Lovelace/)

      const cookie = visitor.cookies.get('sid')
      await visitor.submit('/sign-out')
      visitor.site = second.url
      visitor.cookies.set('sid', cookie!)
      assert.doesNotMatch((await visitor.visit('/profile')).text, /Ada Lovelace/)
    } finally {
      await second.stop()
    }
  })
})
