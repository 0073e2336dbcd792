import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { ADA, GRACE, notice, signIn } from '../support/clients/example-pages.ts'
import { startExample, type ExampleSite } from '../support/sites/example-site.ts'
import { memcachedServer } from '../support/servers/memcached-server.ts'
import type { Reply } from '../support/clients/agent.ts'
import { Visitor } from '../support/clients/visitor.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const LAPTOP = 'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0'
const PHONE = 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) Version/18.6 Mobile Safari/604.1'
const TABLET = 'Mozilla/5.0 (iPad; CPU OS 18_6 like Mac OS X) Version/18.6 Mobile Safari/604.1'

describe('the devices page', () => {
  let directory: string
  let site: ExampleSite

  before(async () => {
    directory = temporaryDirectory()
    site = await startExample({ directory })
  })
  after(async () => {
    await site?.stop()
  })

  /** Ends what other tests have left of this user. */
  async function alone(userAgent: string, who = ADA): Promise<Visitor> {
    const visitor = new Visitor(site.url, userAgent)
    await signIn(visitor, who)
    await visitor.visit('/devices')
    await visitor.submit('/devices/sign-out-elsewhere')
    return visitor
  }

  async function another(userAgent: string, who = ADA): Promise<Visitor> {
    const visitor = new Visitor(site.url, userAgent)
    await signIn(visitor, who)
    return visitor
  }

  it('says where the visitor is signed in, this device first, and then the one that was seen last', async () => {
    const laptop = await alone(LAPTOP)
    await another(PHONE)
    await another(TABLET)
    const page = await laptop.visit('/devices')
    const [first, ...others] = devices(page)
    assert.equal(first, 'Firefox on Linux this device; Signed in just now, in use now')
    assert.deepEqual(others, [
      'Safari on iPad; Signed in just now, last seen just now',
      'Safari on iPhone; Signed in just now, last seen just now',
    ])
  })

  it('says so where the visitor is signed in nowhere else, and offers nothing then', async () => {
    const laptop = await alone(LAPTOP)
    const page = await laptop.visit('/devices')
    assert.equal(devices(page).length, 1)
    assert.match(page.text, /You are signed in nowhere else/)
    assert.doesNotMatch(page.text, /action="\/devices/)
  })

  it('lists a device once, however often its visitor signs in there', async () => {
    const laptop = await alone(LAPTOP)
    await signIn(laptop)
    await signIn(laptop)
    assert.equal(devices(await laptop.visit('/devices')).length, 1)
  })

  it('signs out one other device, whose next page is that of a stranger', async () => {
    const laptop = await alone(LAPTOP)
    const [phone, tablet] = [await another(PHONE), await another(TABLET)]
    const before = await laptop.visit('/devices')
    const page = await laptop.submit('/devices/sign-out', { device: idOf(before, 'Safari on iPhone') })
    assert.equal(notice(page), 'Signed out: Safari on iPhone.')
    assert.equal(devices(page).length, 2)
    assert.equal(notice(await phone.visit('/profile')), 'You were signed out here from another device.')
    assert.match((await tablet.visit('/profile')).text, /<h1>Ada Lovelace/)
    assert.match((await laptop.visit('/profile')).text, /<h1>Ada Lovelace/)
  })

  it('has five devices at most: on the sixth, the one that signed in first is signed out and learns why', async () => {
    const laptop = await alone(LAPTOP)
    for (let n = 0; n < 5; n++) await another(TABLET)
    assert.equal(
      notice(await laptop.visit('/profile')),
      'You were signed out here, because you signed in on more than 5 devices.',
    )
    await signIn(laptop)
    const page = await laptop.visit('/devices')
    assert.equal(devices(page).length, 5)
    assert.match(page.text, /You can be signed in on 5 devices/)
  })

  it('signs out everywhere else, and says on how many devices', async () => {
    const laptop = await alone(LAPTOP)
    const [phone, tablet] = [await another(PHONE), await another(TABLET)]
    const stranger = await another(TABLET, GRACE)
    await laptop.visit('/devices')
    const page = await laptop.submit('/devices/sign-out-elsewhere')
    assert.equal(notice(page), 'Signed out on 2 other devices.')
    assert.equal(devices(page).length, 1)
    for (const device of [phone, tablet]) {
      assert.doesNotMatch((await device.visit('/profile')).text, /Ada Lovelace/)
    }
    assert.match((await stranger.visit('/profile')).text, /<h1>Grace Hopper/)
    await another(PHONE)
    await laptop.visit('/devices')
    assert.equal(notice(await laptop.submit('/devices/sign-out-elsewhere')), 'Signed out on 1 other device.')
  })

  it('ends no session of another user, nor its own, nor one that is gone, whatever id the form holds', async () => {
    const ada = await alone(LAPTOP)
    await another(PHONE)
    const grace = await alone(LAPTOP, GRACE)
    const graceToo = await another(PHONE, GRACE)
    const idOfGrace = idOf(await graceToo.visit('/devices'), 'Firefox on Linux')
    const gone = idOf(await ada.visit('/devices'), 'Safari on iPhone')
    await ada.submit('/devices/sign-out', { device: gone })
    for (const device of [idOfGrace, gone, '', 'x', '../x']) {
      const page = await ada.submit('/devices/sign-out', { device })
      assert.equal(notice(page), 'That device was not signed in any more.')
    }
    const own = idOf(await (await another(PHONE)).visit('/devices'), 'Firefox on Linux')
    await ada.visit('/devices')
    await ada.submit('/devices/sign-out', { device: own })
    assert.match((await grace.visit('/profile')).text, /<h1>Grace Hopper/)
    assert.match((await ada.visit('/profile')).text, /<h1>Ada Lovelace/)
  })

  it('is for signed-in visitors only, and so are its forms', async () => {
    const visitor = new Visitor(site.url)
    assert.equal(notice(await visitor.visit('/devices')), 'Please sign in to see this page.')
    for (const path of ['/devices/sign-out', '/devices/sign-out-elsewhere']) {
      await visitor.visit('/')
      assert.equal(notice(await visitor.submit(path)), 'Please sign in to see this page.')
    }
  })
})

describe('the devices page of somebody who has not been there for days', () => {
  it('says when each device was signed in and seen last', async () => {
    const directory = temporaryDirectory()
    const phone = new Visitor('', PHONE)
    await withClock(directory, -5 * 24, async (url) => {
      phone.site = url
      await phone.visit('/sign-in')
      await phone.submit('/sign-in', { ...ADA, remember: 'yes' })
    })
    await withClock(directory, -2 * 24, async (url) => {
      phone.site = url
      assert.match((await phone.visit('/profile')).text, /<h1>Ada Lovelace/)
    })
    await withClock(directory, 0, async (url) => {
      const laptop = new Visitor(url, LAPTOP)
      await signIn(laptop)
      assert.deepEqual(devices(await laptop.visit('/devices')), [
        'Firefox on Linux this device; Signed in just now, in use now',
        'Safari on iPhone; Signed in 5 days ago, last seen 2 days ago',
      ])
    })
  })
})

describe('the devices page over a store that cannot list sessions', () => {
  it('says so in plain words, and signing in and out works as everywhere', async () => {
    const memcached = await memcachedServer()
    try {
      const directory = temporaryDirectory()
      const site = await startExample({ directory, env: { SESSION_STORE: memcached.url } })
      const visitor = new Visitor(site.url, LAPTOP)
      await signIn(visitor)
      const page = await visitor.visit('/devices')
      assert.equal(page.status, 200)
      assert.match(page.text, /it cannot tell where\s+else you are/)
      assert.deepEqual(devices(page), [])
      const answer = await visitor.submit('/devices/sign-out', { device: 'x' })
      assert.equal(notice(answer), 'That device was not signed in any more.')
      assert.equal(notice(await visitor.submit('/devices/sign-out-elsewhere')), 'Signed out on 0 other devices.')
      assert.match((await visitor.submit('/sign-out')).text, /You are signed out/)
      assert.equal(await site.stop(), 0)
      assert.doesNotMatch(site.output(), /Error/)
    } finally {
      await memcached.stop()
    }
  })
})

/** Runs the site on the files of this directory, with a clock that is so many hours ahead. */
async function withClock(directory: string, hours: number, work: (url: string) => Promise<void>): Promise<void> {
  const site = await startExample({ directory, clockAhead: hours * 3_600_000 })
  try {
    await work(site.url)
  } finally {
    await site.stop()
  }
}

/** Each as one line of text. */
function devices(page: Reply): string[] {
  const items = page.text.matchAll(/<li>\s*<span class="name">(.*?)<\/span>\s*<span class="when">(.*?)<\/span>\s/gs)
  return [...items].map(([, name, when]) => `${textOf(name!)}; ${textOf(when!)}`)
}

function textOf(html: string): string {
  return html.replace(/<[^>]*>/g, '').trim()
}

/** What the form to sign out this device sends. */
function idOf(page: Reply, label: string): string {
  const [, id] = new RegExp(`name="device" value="([^"]+)"[^>]*>\\s*<button[^>]*aria-label="Sign out ${label}"`).exec(
    page.text,
  ) ?? ['', '']
  assert.ok(id, label)
  return id
}
