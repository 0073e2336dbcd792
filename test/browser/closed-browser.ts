import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { openBrowserOf } from '../support/clients/browser.ts'
import { sessionCookie, signIn } from '../support/clients/browser-pages.ts'
import { startExample } from '../support/sites/example-site.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const DAY = 86_400

describe('when Chromium is closed and opened again', () => {
  it('a visitor who asked to be remembered is still signed in, for 30 days', async () => {
    assert.equal(await headingAfterwards({ remember: true }), 'Ada Lovelace')
  })

  it('a visitor who did not is a stranger', async () => {
    assert.equal(await headingAfterwards({ remember: false }), 'Sign in')
  })
})

/** What the profile page says in the second browser over the same profile on disk. */
async function headingAfterwards({ remember }: { remember: boolean }): Promise<string | null> {
  let heading: string | null = null
  const directory = temporaryDirectory()
  const site = await startExample({ directory })
  const first = await openBrowserOf(`${directory}/browser`)
  const page = await first.newPage()
  await page.goto(site.url)
  await signIn(page, { remember })
  assert.equal(await page.textContent('h1'), 'Ada Lovelace')
  const days = ((await sessionCookie(first)).expires - Date.now() / 1000) / DAY
  if (remember) assert.ok(days > 29.9 && days <= 30, `The cookie lasts ${days} days`)
  await first.close()

  const second = await openBrowserOf(`${directory}/browser`)
  const later = await second.newPage()
  await later.goto(`${site.url}/profile`)
  heading = await later.textContent('h1')
  await second.close()
  await site.stop()
  return heading
}
