import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { Agent, siteWith } from '../support/sites/http.ts'
import { recordingStore } from '../support/stores/recording-store.ts'

async function site(test: TestContext): Promise<{ browser: Agent; saves(): number }> {
  const store = recordingStore({ power: 'isCurrent' })
  const { port } = await siteWith(test, { store }, async (ctx) => {
    const { session } = ctx
    if (ctx.path === '/save') session.flash('notice', 'Saved')
    if (ctx.path === '/form') for (const what of ['name', 'mail']) session.flash('notice', `The ${what} is missing`)
    if (ctx.path === '/other') session.flash('problem', 'None')
    if (ctx.path === '/write') Object.assign(session, { n: Math.random() })
    if (ctx.path === '/rotate') await session.regenerate({ keep: true })
    if (ctx.path === '/page') ctx.body = { notice: session.flash('notice') ?? null }
    else if (ctx.path === '/all') ctx.body = session.flashes('notice')
    else if (ctx.path === '/twice') ctx.body = [session.flash('notice'), session.flash('notice')]
    else if (ctx.path === '/in-update') ctx.body = { notice: await session.update((fresh) => fresh.flash('notice')) }
    else if (ctx.path === '/fails') ctx.throw(500, String(session.flash('notice')))
    else ctx.body = `unread mails of ${String(session.id)}: 0`
  })
  const browser = new Agent(port)
  await browser.get('/save')
  return { browser, saves: () => store.count('save') }
}

describe('several notices of one key', () => {
  it('are all shown, oldest first, whichever requests have left them, and once', async (test) => {
    const { browser } = await site(test)
    await browser.get('/form')
    assert.deepEqual((await browser.get('/all')).json(), ['Saved', 'The name is missing', 'The mail is missing'])
    assert.deepEqual((await browser.get('/all')).json(), [])
  })

  it('are all taken by a page that shows the newest alone', async (test) => {
    const { browser } = await site(test)
    await browser.get('/form')
    assert.deepEqual((await browser.get('/page')).json(), { notice: 'The mail is missing' })
    assert.deepEqual((await browser.get('/all')).json(), [])
  })

  it('are not lost if parallel requests leave them, and go over to a new token', async (test) => {
    const { browser } = await site(test)
    await Promise.all(['/form', '/save', '/form'].map((path) => browser.get(path)))
    await browser.get('/rotate')
    const shown = (await browser.get('/all')).json<string[]>()
    assert.deepEqual(shown.toSorted(), [
      'Saved',
      'Saved',
      'The mail is missing',
      'The mail is missing',
      'The name is missing',
      'The name is missing',
    ])
  })
})

describe('a notice', () => {
  it('waits for the request that asks for it, whatever comes before: polls, writes, other notices, a new token', async (test) => {
    const { browser } = await site(test)
    for (const path of ['/poll', '/write', '/other', '/rotate', '/poll', '/fails']) await browser.get(path)
    assert.deepEqual((await browser.get('/page')).json(), { notice: 'Saved' })
    assert.deepEqual((await browser.get('/page')).json(), { notice: null }, 'once')
  })

  it('is not taken by a poll in parallel', async (test) => {
    const { browser } = await site(test)
    const [, page] = await Promise.all([browser.get('/write'), browser.get('/page'), browser.get('/poll')])
    assert.deepEqual(page.json(), { notice: 'Saved' })
  })

  it('costs a request that does not ask for it no write', async (test) => {
    const { browser, saves } = await site(test)
    const before = saves()
    await browser.get('/poll')
    assert.equal(saves(), before)
  })

  it('is shown for as long as the request that asked for it lasts', async (test) => {
    const { browser } = await site(test)
    assert.deepEqual((await browser.get('/twice')).json(), ['Saved', 'Saved'])
    assert.deepEqual((await browser.get('/page')).json(), { notice: null })
  })

  it('is taken by the function of update, too', async (test) => {
    const { browser } = await site(test)
    assert.deepEqual((await browser.get('/in-update')).json(), { notice: 'Saved' })
    assert.deepEqual((await browser.get('/page')).json(), { notice: null })
  })
})
