import assert from 'node:assert/strict'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { it } from 'node:test'
import Koa from 'koa'
import { inBrowser } from './one-browser.ts'
import { follow } from '../support/clients/browser-pages.ts'
import { readPage } from '../support/documents/pages.ts'
import { freePort, startServer } from '../support/servers/server-process.ts'
import { KEY, serve } from '../support/sites/http.ts'

const ROOT = resolve(import.meta.dirname, '../../..')

it('a sign-in that ends with a form of another site finds the session, as the cookbook does it, in Chromium, even with a strict cookie', async (test) => {
  const port = await freePort()
  const shop = `http://shop.test:${port}`
  // What the recipe is for: the provider's page posts to the shop.
  const provider = new Koa()
  provider.use((ctx) => {
    ctx.body = `<!doctype html><form method="post" action="${shop}/callback"><input name="code" value="the code of ada">
      <input name="state" value="${String(ctx.query['state'])}"><button>Back</button></form>`
  })
  const identities = await serve(test, provider)

  const recipe = readPage(ROOT, 'docs/cookbook.md').blocks.find(({ file }) => file === 'form-post.js')
  assert.ok(recipe)
  // Inside of the package, so that the program finds it as an application would.
  const directory = join(ROOT, 'dist/recipes')
  mkdirSync(directory, { recursive: true })
  test.after(() => rmSync(directory, { recursive: true }))
  const strict = recipe.code.replace('session({', "session({ store: 'memory:', cookie: { sameSite: 'strict' },")
  assert.notEqual(strict, recipe.code)
  writeFileSync(join(directory, 'form-post.js'), strict.replace('3007', String(port)))
  const variables = [`SESSION_KEY=${KEY}`, `PROVIDER=http://other.test:${identities.port}/authorize?`]
  const command = ['env', ...variables, process.execPath, join(directory, 'form-post.js')]
  const program = await startServer({ command, directory, port })
  test.after(() => program.kill())

  await inBrowser({}, async (page) => {
    await page.goto(`${shop}/cart`)
    await page.goto(`${shop}/sign-in`)
    await follow(page, 'button')
    await page.waitForSelector('text=Welcome')
    await page.goto(`${shop}/`)
    assert.equal((await page.textContent('body'))?.trim(), 'You are ada, with tea in the cart')
  })
})
