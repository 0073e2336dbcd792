import assert from 'node:assert/strict'
import { once } from 'node:events'
import { renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { newDirectory, removeDirectory, startExample, type ExampleSite } from './support/example-site.ts'
import { Visitor, type Page } from './support/visitor.ts'

const ADA = { name: 'ada', password: 'analytical engine' }

describe('the example site', () => {
  const directory = newDirectory()
  let site: ExampleSite

  before(async () => {
    site = await startExample({ directory })
  })
  after(async () => {
    await site.stop()
    removeDirectory(directory)
  })

  it('counts the visits of each visitor', async () => {
    const one = new Visitor(site.url)
    const other = new Visitor(site.url)
    await one.visit('/')
    await one.visit('/')
    assert.equal(visits(await one.visit('/')), '3')
    assert.equal(visits(await other.visit('/')), '1st')
  })

  it('counts every one of 30 visits that arrive at once', async () => {
    const visitor = new Visitor(site.url)
    await visitor.visit('/')
    await Promise.all(Array.from({ length: 30 }, () => visitor.visit('/')))
    assert.equal(visits(await visitor.visit('/')), '32')
  })

  it('keeps a cart: adds, changes the quantity, removes', async () => {
    const visitor = new Visitor(site.url)
    await visitor.visit('/')
    await visitor.submit('/cart/add', { tea: 'sencha' })
    await visitor.submit('/cart/add', { tea: 'mint' })
    assert.deepEqual(cart(await visitor.submit('/cart/add', { tea: 'sencha' })), { sencha: 2, mint: 1 })
    assert.deepEqual(cart(await visitor.submit('/cart/quantity', { tea: 'mint', quantity: '5' })), { sencha: 2, mint: 5 })
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
    await Promise.all([...teas, ...teas].map((tea) => visitor.post('/cart/add', { token: visitor.token, tea })))
    assert.deepEqual(cart(await visitor.visit('/cart')), { sencha: 2, oolong: 2, assam: 2, rooibos: 2, jasmine: 2, mint: 2 })
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
    assert.match(page.html, /<dt>User<\/dt><dd>ada<\/dd>/)
    assert.notEqual(visitor.cookies.get('sid'), before)
    assert.deepEqual(cart(await visitor.visit('/cart')), { assam: 1 })

    const thief = new Visitor(site.url)
    thief.cookies.set('sid', before!)
    assert.doesNotMatch((await thief.visit('/profile')).html, /Ada/)
  })

  it('answers a wrong password and an unknown name alike, with a redirect and a notice', async () => {
    for (const wrong of [{ name: 'ada', password: 'wrong' }, { name: 'nobody', password: 'analytical engine' }]) {
      const visitor = new Visitor(site.url)
      await visitor.visit('/sign-in')
      const answer = await visitor.post('/sign-in', { token: visitor.token, ...wrong })
      assert.equal(answer.status, 303)
      assert.equal(answer.headers.get('location'), '/sign-in')
      assert.equal(notice(await visitor.visit('/sign-in')), 'That name and password do not go together.')
      assert.equal(notice(await visitor.visit('/sign-in')), undefined)
    }
  })

  it('remembers for 30 days whoever asks for it, and nobody else', async () => {
    const visitor = new Visitor(site.url)
    await visitor.visit('/sign-in')
    const plain = await visitor.post('/sign-in', { token: visitor.token, ...ADA })
    assert.doesNotMatch(plain.headers.get('set-cookie') ?? '', /max-age|expires/i)
    await visitor.visit('/sign-in')
    const remembered = await visitor.post('/sign-in', { token: visitor.token, ...ADA, remember: 'yes' })
    const [, seconds] = /Max-Age=(\d+)/.exec(remembered.headers.get('set-cookie') ?? '') ?? []
    assert.ok(Math.abs(Number(seconds) - 30 * 86_400) < 60, `Max-Age is ${seconds}`)
  })

  it('shows the profile to signed-in visitors only', async () => {
    const visitor = new Visitor(site.url)
    const answer = await visitor.request('/profile')
    assert.equal(answer.status, 303)
    assert.equal(notice(await visitor.visit('/sign-in')), 'Please sign in to see your profile.')
  })

  it('signs out for good: the cookie is forgotten, and worth nothing to whoever kept it', async () => {
    const visitor = new Visitor(site.url)
    await signIn(visitor)
    const kept = visitor.cookies.get('sid')
    const page = await visitor.submit('/sign-out')
    assert.match(page.html, /You are signed out/)
    assert.equal(visitor.cookies.has('sid'), false)
    visitor.cookies.set('sid', kept!)
    assert.doesNotMatch((await visitor.visit('/profile')).html, /Ada/)
  })

  it('lets nobody store a page that shows who is signed in', async () => {
    const visitor = new Visitor(site.url)
    await signIn(visitor)
    for (const path of ['/', '/cart', '/profile', '/no-such-page']) {
      assert.equal((await visitor.visit(path)).headers.get('cache-control'), 'no-store', path)
    }
  })

  it('refuses forms without the token, with a wrong one, and with that of another visitor', async () => {
    const visitor = new Visitor(site.url)
    const other = new Visitor(site.url)
    await Promise.all([visitor.visit('/'), other.visit('/')])
    for (const path of ['/cart/add', '/cart/quantity', '/cart/remove', '/sign-in', '/sign-out']) {
      for (const token of ['', 'x'.repeat(43), other.token]) {
        const answer = await visitor.post(path, { token, tea: 'mint' })
        assert.equal(answer.status, 403, path)
        assert.match(answer.html, /This form is out of date/)
      }
    }
    assert.deepEqual(cart(await visitor.visit('/cart')), {})
    assert.equal((await new Visitor(site.url).post('/sign-in', { token: '', ...ADA })).status, 403)
  })

  it('has a page for what it does not have, and for what is too large', async () => {
    const visitor = new Visitor(site.url)
    const missing = await visitor.visit('/no-such-page')
    assert.equal(missing.status, 404)
    assert.match(missing.html, /There is no such page/)
    const large = await visitor.post('/cart/add', { tea: 'x'.repeat(20_000) })
    assert.equal(large.status, 413)
    assert.match(large.html, /That was too much/)
  })

  it('starts no session for a page that uses none', async () => {
    const visitor = new Visitor(site.url)
    for (const path of ['/style.css', '/signed-out', '/no-such-page']) {
      assert.equal((await visitor.visit(path)).headers.has('set-cookie'), false, path)
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
      assert.match(page.html, /Ada Lovelace/)

      const cookie = visitor.cookies.get('sid')
      await visitor.submit('/sign-out')
      visitor.site = second.url
      visitor.cookies.set('sid', cookie!)
      assert.doesNotMatch((await visitor.visit('/profile')).html, /Ada/)
    } finally {
      await second.stop()
    }
  })
})

describe('the example site while its session store is down', () => {
  const directory = newDirectory()
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
    await site.stop()
    removeDirectory(directory)
  })

  it('shows a friendly page with the status 503, and leaves the cookie alone', async () => {
    for (const path of ['/cart', '/profile', '/sign-in']) {
      const answer = await visitor.request(path)
      assert.equal(answer.status, 503, path)
      assert.match(answer.html, /We will be right back/)
      assert.equal(answer.headers.get('retry-after'), '5')
      assert.equal(answer.headers.has('set-cookie'), false)
    }
    assert.equal((await visitor.post('/sign-out', { token: visitor.token })).status, 503)
  })

  it('still shows the home page, to those with a session and to those without', async () => {
    for (const who of [visitor, newcomer]) {
      const page = await who.visit('/')
      assert.equal(page.status, 200)
      assert.match(page.html, /Jasmine pearls/)
      assert.match(page.html, /resting for a moment/)
      assert.equal(page.headers.has('set-cookie'), false)
    }
  })

  it('has signed nobody out and lost nothing when the store is back', async () => {
    rmSync(sessions)
    renameSync(away, sessions)
    const page = await visitor.visit('/cart')
    assert.match(page.html, /Ada Lovelace/)
    assert.deepEqual(cart(page), { jasmine: 1 })
  })
})

describe('starting and ending the example site', () => {
  it('says where it is and how to keep sessions elsewhere, and of the key it made for itself', async () => {
    await inDirectory(async (directory) => {
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
  })

  it('keeps everybody signed in over a restart', async () => {
    await inDirectory(async (directory) => {
      const first = await startExample({ directory })
      const visitor = new Visitor(first.url)
      await signIn(visitor)
      await first.stop()
      const second = await startExample({ directory })
      visitor.site = second.url
      assert.match((await visitor.visit('/profile')).html, /Ada Lovelace/)
      assert.doesNotMatch(second.output(), /Made a key/)
      await second.stop()
    })
  })

  it('agrees on one key when two processes make the first start together', async () => {
    await inDirectory(async (directory) => {
      const sites = await Promise.all([startExample({ directory }), startExample({ directory })])
      const visitor = new Visitor(sites[0].url)
      await signIn(visitor)
      visitor.site = sites[1].url
      assert.match((await visitor.visit('/profile')).html, /Ada Lovelace/)
      await Promise.all(sites.map((site) => site.stop()))
    })
  })

  it('takes the key from SESSION_KEY, and after a rotation the old one from SESSION_KEY_OLD', async () => {
    await inDirectory(async (directory) => {
      const first = await startExample({ directory, env: { SESSION_KEY: 'the first key of thirty-two bytes' } })
      const visitor = new Visitor(first.url)
      await signIn(visitor)
      await first.stop()
      const env = { SESSION_KEY: 'the second key, also long enough', SESSION_KEY_OLD: 'the first key of thirty-two bytes' }
      const second = await startExample({ directory, env })
      visitor.site = second.url
      const page = await visitor.visit('/profile')
      assert.match(page.html, /Ada Lovelace/)
      assert.equal(page.headers.getSetCookie().length, 1)
      assert.doesNotMatch(first.output() + second.output(), /Made a key|thirty-two bytes|long enough/)
      await second.stop()
    })
  })

  it('explains a wrong setting in one sentence', async () => {
    await inDirectory(async (directory) => {
      const site = await startExample({ directory })
      const { port } = new URL(site.url)
      await assert.rejects(startExample({ directory, env: { PORT: port } }), /It said:\nThis port is taken\. .*\n$/)
      await assert.rejects(startExample({ directory, env: { SESSION_KEY: 'short' } }), /It said:\n.*at least 16.*\n$/)
      await site.stop()
    })
  })

  it('finishes the requests under way before it ends', async () => {
    await inDirectory(async (directory) => {
      const site = await startExample({ directory })
      const visitor = new Visitor(site.url)
      await visitor.visit('/')
      const body = new URLSearchParams({ token: visitor.token, tea: 'mint' }).toString()
      const socket = connect(Number(new URL(site.url).port), '127.0.0.1').setEncoding('utf8')
      socket.write(
        `POST /cart/add HTTP/1.1\r\nHost: example\r\nCookie: sid=${visitor.cookies.get('sid')}\r\nExpect: 100-continue\r\n` +
          `Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\n\r\n`,
      )
      assert.match(String(await once(socket, 'data')), /^HTTP\/1\.1 100/)
      const stopped = site.stop()
      await refused(site.url)
      socket.write(body)
      assert.match(String(await once(socket, 'data')), /^HTTP\/1\.1 303/)
      assert.equal(await stopped, 0)

      const next = await startExample({ directory })
      visitor.site = next.url
      assert.deepEqual(cart(await visitor.visit('/cart')), { mint: 1 })
      await next.stop()
    })
  })
})

async function signIn(visitor: Visitor): Promise<void> {
  await visitor.visit('/sign-in')
  const page = await visitor.submit('/sign-in', ADA)
  assert.match(page.html, /Ada Lovelace/)
}

/** Resolves once the site takes no connections any more. */
async function refused(url: string): Promise<void> {
  while (
    await fetch(url).then(
      () => true,
      () => false,
    )
  );
}

async function inDirectory(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = newDirectory()
  try {
    await work(directory)
  } finally {
    removeDirectory(directory)
  }
}

function visits(page: Page): string | undefined {
  return /id="visits">([^<]*)</.exec(page.html)?.[1]
}

function notice(page: Page): string | undefined {
  return /<p class="notice[^>]*>([^<]*)</.exec(page.html)?.[1]
}

/** Quantities by tea. */
function cart(page: Page): Record<string, number> {
  const rows = page.html.matchAll(/<span class="leaf (\w+)">(?:(?!<li>).)*?name="quantity" value="(\d+)"/gs)
  return Object.fromEntries([...rows].map(([, tea, quantity]) => [tea, Number(quantity)]))
}
