import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { BrowserContext, Page } from 'playwright-core'
import type { CookieOptions } from '../../src/index.ts'
import { inBrowser } from './one-browser.ts'
import { follow, sessionCookie } from '../support/clients/browser-pages.ts'
import { cookieSite, type CookieSite } from '../support/sites/cookie-site.ts'

/** A visitor of a site whose session cookie has these attributes. */
async function visitor(
  cookie: CookieOptions,
  work: (page: Page, site: CookieSite, context: BrowserContext) => Promise<void>,
): Promise<void> {
  const site = await cookieSite(cookie)
  try {
    await inBrowser({}, (page, context) => work(page, site, context))
  } finally {
    await site.stop()
  }
}

/** What the shop was asked for while `work` ran. */
async function asked(site: CookieSite, work: () => Promise<unknown>): Promise<string[]> {
  const already = site.requests.length
  await work()
  return site.requests.slice(already)
}

function elsewhere(to: string): string {
  return `/elsewhere?to=${encodeURIComponent(to)}`
}

describe('a session cookie with the default attributes, in Chromium', () => {
  it('belongs to this host, cannot be read by scripts and ends with the browser', async () => {
    await visitor({}, async (page, site, context) => {
      await page.goto(site.http('shop.test'))
      const { value, ...cookie } = await sessionCookie(context)
      assert.match(value, /^[\w-]{43}\.[\w-]{43}$/)
      assert.deepEqual(cookie, {
        name: 'sid',
        domain: 'shop.test',
        path: '/',
        expires: -1,
        httpOnly: true,
        secure: false,
        sameSite: 'Lax',
      })
      assert.equal(await page.evaluate('document.cookie'), '')
      await page.goto(site.http('sub.shop.test', '/other'))
      assert.equal(site.requests.at(-1), 'GET /other without its cookie')
    })
  })

  it('is sent when a link on another site leads here, and not with its forms and images', async () => {
    await visitor({}, async (page, site) => {
      const shop = site.http('shop.test')
      await page.goto(shop)
      const loading = await asked(site, () => page.goto(site.http('other.test', elsewhere(shop))))
      assert.deepEqual(loading, ['GET /image without its cookie'])
      const link = await asked(site, () => follow(page, 'a'))
      assert.deepEqual(link, ['GET / with its cookie'])
      assert.equal(await page.textContent('h1'), '2')
      await page.goto(site.http('other.test', elsewhere(shop)))
      const form = await asked(site, () => follow(page, 'button'))
      assert.deepEqual(form, ['POST / without its cookie'])
    })
  })

  it('is sent with the forms and images of its own site', async () => {
    await visitor({}, async (page, site) => {
      const shop = site.http('shop.test')
      await page.goto(shop)
      const loading = await asked(site, () => page.goto(site.http('shop.test', elsewhere(shop))))
      assert.deepEqual(loading, ['GET /image with its cookie'])
      const form = await asked(site, () => follow(page, 'button'))
      assert.deepEqual(form, ['POST / with its cookie'])
    })
  })

  it('is Secure and __Host-sid where the visitor came by https, and then not sent by http', async () => {
    await visitor({}, async (page, site, context) => {
      await page.goto(site.https('shop.test'))
      const { name, secure } = await sessionCookie(context)
      assert.deepEqual([name, secure], ['__Host-sid', true])
      await page.reload()
      assert.equal(await page.textContent('h1'), '2')
      await page.goto(site.http('shop.test', '/other'))
      assert.equal(site.requests.at(-1), 'GET /other without its cookie')
    })
  })
})

describe("a session cookie with sameSite: 'strict', in Chromium", () => {
  it('is not even sent when a link on another site leads here, and is from there on', async () => {
    await visitor({ sameSite: 'strict' }, async (page, site, context) => {
      const shop = site.http('shop.test')
      await page.goto(shop)
      assert.equal((await sessionCookie(context)).sameSite, 'Strict')
      await page.goto(site.http('other.test', elsewhere(site.http('shop.test', '/other'))))
      const link = await asked(site, () => follow(page, 'a'))
      assert.deepEqual(link, ['GET /other without its cookie'])
      await page.goto(shop)
      assert.equal(await page.textContent('h1'), '2')
      await follow(page, 'a')
      assert.equal(await page.textContent('h1'), '3')
    })
  })
})

describe('a visitor who comes back from another site, in Chromium', () => {
  // Chromium says to https alone where a request comes from.
  async function comesBack(cookie: CookieOptions, by: 'a' | 'button', path: string): Promise<string | null> {
    let views: string | null = ''
    await visitor(cookie, async (page, site, context) => {
      const shop = site.https('shop.test')
      await page.goto(shop)
      const { value } = await sessionCookie(context)
      await page.goto(site.https('other.test', elsewhere(site.https('shop.test', path))))
      await follow(page, by)
      assert.equal((await sessionCookie(context)).value, value, 'the cookie is still the visitor’s own')
      await page.goto(shop)
      views = await page.textContent('h1')
    })
    return views
  }

  it('by a link in a mail keeps the session under strict, though the page that it leads to writes to its own', async () => {
    assert.equal(await comesBack({ sameSite: 'strict' }, 'a', '/'), '2')
  })

  it('by a form of a bank keeps the session under lax, though the page that it leads to writes to its own', async () => {
    assert.equal(await comesBack({}, 'button', '/write'), '2')
  })

  it('keeps the session while pictures of the site load elsewhere', async () => {
    await visitor({}, async (page, site, context) => {
      await page.goto(site.https('shop.test'))
      const { value } = await sessionCookie(context)
      await page.goto(site.https('other.test', elsewhere(site.https('shop.test', '/write'))))
      assert.deepEqual(site.requests.at(-1), 'GET /image without its cookie')
      assert.equal((await sessionCookie(context)).value, value)
    })
  })
})

describe("a session cookie with sameSite: 'none', in Chromium", () => {
  it('is sent with the forms of other sites too, so that one’s own need a token', async () => {
    await visitor({ sameSite: 'none', secure: true }, async (page, site) => {
      const shop = site.https('shop.test')
      await page.goto(shop)
      await page.goto(site.https('other.test', elsewhere(shop)))
      const form = await asked(site, () => follow(page, 'button'))
      assert.deepEqual(form, ['POST / with its cookie'])
    })
  })
})

describe('a session cookie that is always Secure, in Chromium', () => {
  for (const name of ['sid', '__Secure-sid', '__Host-sid']) {
    it(`under the name ${name} is refused over http, and taken over https`, async () => {
      await visitor({ name, secure: true }, async (page, site, context) => {
        await page.goto(site.http('shop.test'))
        assert.deepEqual(await context.cookies(), [])
        await page.goto(site.https('shop.test'))
        const cookie = await sessionCookie(context)
        assert.deepEqual(
          [cookie.name, cookie.secure, cookie.httpOnly, cookie.path, cookie.domain],
          [name, true, true, '/', 'shop.test'],
        )
        await page.reload()
        assert.equal(await page.textContent('h1'), '2')
      })
    })
  }
})

describe('a cookie that a subdomain plants, in Chromium', () => {
  it('cannot have the name __Host-sid, and means nothing as sid, though http has signed it', async () => {
    await visitor({}, async (page, site, context) => {
      await page.goto(site.http('shop.test'))
      const attackers = await sessionCookie(context)
      await context.clearCookies()
      await page.goto(site.https('sub.shop.test', '/other'))
      await page.evaluate(`document.cookie = '__Host-sid=planted; Domain=shop.test; Path=/; Secure'`)
      await page.evaluate(`document.cookie = 'sid=${attackers.value}; Domain=shop.test; Path=/; Secure'`)
      const planted = await context.cookies(site.https('shop.test'))
      assert.deepEqual(
        planted.map((cookie) => cookie.name),
        ['sid'],
      )
      await page.goto(site.https('shop.test'))
      assert.equal(await page.textContent('h1'), '1')
      await page.reload()
      assert.equal(await page.textContent('h1'), '2')
      assert.ok((await context.cookies()).some(({ name }) => name === '__Host-sid'))
    })
  })
})

describe('a partitioned session cookie of a page in a frame of another site, in Chromium', () => {
  it('is another one in each site', async () => {
    const seen: (string | null)[] = []
    await visitor({ sameSite: 'none', secure: true, partitioned: true }, async (page, site) => {
      for (const around of ['one.test', 'one.test', 'two.test', 'one.test']) {
        await page.goto(site.https(around, `/around?to=${encodeURIComponent(site.https('shop.test'))}`))
        seen.push(await page.frameLocator('iframe').locator('h1').textContent())
      }
    })
    assert.deepEqual(seen, ['1', '2', '1', '3'])
  })
})
