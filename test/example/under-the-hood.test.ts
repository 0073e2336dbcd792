import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { addSigningKey, KEY_FILE, keptSigningKeys } from '../../example/signing-key.ts'
import { memoryStore } from '../../src/index.ts'
import { cart, signIn, visits } from '../support/clients/example-pages.ts'
import type { Reply } from '../support/clients/agent.ts'
import { Visitor } from '../support/clients/visitor.ts'
import { startExampleApp, type ExampleApp } from '../support/sites/example-app.ts'
import { recordingStore } from '../support/stores/recording-store.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const HOOD = '/under-the-hood'

async function site(test: TestContext, options?: Parameters<typeof startExampleApp>[0]): Promise<ExampleApp> {
  const app = await startExampleApp(options)
  test.after(() => app.stop())
  return app
}

describe('/under-the-hood', () => {
  it('says what the library did for each request of this browser', async (t) => {
    const { url } = await site(t)
    const visitor = new Visitor(url)
    await visitor.visit('/')
    await visitor.submit('/cart/add', { tea: 'mint' })
    const lines = linesOf(await visitor.visit(HOOD))
    assert.deepEqual(lines, [
      'GET /cart 200: from the cache, saved; 1 trip',
      'POST /cart/add 303: from the cache, saved, saved; 2 trips',
      'GET / 200: no session yet, saved, saved; 2 trips',
    ])
  })

  it('says how long each step took, and what all of them came to', async (t) => {
    const { url } = await site(t)
    const visitor = new Visitor(url)
    await visitor.visit('/')
    const { text } = await visitor.visit(HOOD)
    assert.match(text, /saved <span class="hint">[\d,]+ µs</)
    assert.match(text, /1 request, 0 of them answered from the cache; 2 trips to the store\./)
    assert.match((await visitor.visit(HOOD)).text, /2 requests, 1 of them answered from the cache;/)
  })

  it('shows no request, no record and no result of anybody else', async (t) => {
    const { url } = await site(t)
    const [ada, other] = [new Visitor(url), new Visitor(url)]
    await ada.visit('/')
    await ada.submit('/cart/add', { tea: 'mint' })
    await ada.visit(HOOD)
    await ada.submit(`${HOOD}/race`)
    const page = await other.visit(HOOD)
    assert.deepEqual(linesOf(page), [])
    assert.deepEqual(resultsOf(page), [])
    assert.doesNotMatch(page.text, /mint/)
  })

  it('shows no query, and nothing that a visitor could put into the page', async (t) => {
    const { url } = await site(t)
    const visitor = new Visitor(url)
    await visitor.visit('/')
    await visitor.visit('/cart?card=4111')
    await visitor.visit('/<script>alert(1)</script>')
    const { text } = await visitor.visit(HOOD)
    assert.doesNotMatch(text, /4111|<script>alert/)
  })

  it('goes on over a sign-in, which gives the browser a new id', async (t) => {
    const { url } = await site(t)
    const visitor = new Visitor(url)
    await visitor.visit('/')
    await signIn(visitor)
    const lines = linesOf(await visitor.visit(HOOD))
    assert.equal(lines.at(-1), 'GET / 200: no session yet, saved, saved; 2 trips')
    assert.ok(
      lines.some((line) => line.startsWith('POST /sign-in 303: from the cache') && line.includes('got a new id')),
    )
  })

  it('shows the record as it lies in the store, and never the secret of the cookie', async (t) => {
    const { url } = await site(t)
    const visitor = new Visitor(url)
    await visitor.visit('/')
    await visitor.visit('/')
    const page = await visitor.visit(HOOD)
    assert.match(recordOf(page), /^\{"format":1,.*\n"visits":2/s)
    assert.match(page.text, /version 3\. It ends at \d\d:\d\d:\d\d UTC/)
    for (const secret of visitor.cookies.get('sid')!.split('.')) assert.ok(!page.text.includes(secret))
  })

  it('shows an encrypted record as ciphertext', async (t) => {
    const { url } = await site(t, { encrypt: true })
    const visitor = new Visitor(url)
    await visitor.visit('/')
    const page = await visitor.visit(HOOD)
    assert.match(recordOf(page), /^\{"encrypted":"[\w":,-]*"\}$/)
    assert.match(page.text, /bytes, encrypted, version/)
  })

  it('says so if it cannot look into the store', async (t) => {
    const { url } = await site(t, { store: 'memory:' })
    assert.match((await new Visitor(url).visit(HOOD)).text, /looks into files and Redis only/)
  })

  it('is the only page that may have a script, and that one is its own', async (t) => {
    const { url } = await site(t)
    const visitor = new Visitor(url)
    const policyOf = async (path: string): Promise<string> =>
      String((await visitor.visit(path)).headers['content-security-policy'])
    assert.match(await policyOf(HOOD), /^default-src 'none';.*; script-src 'self'; connect-src 'self'$/)
    for (const path of ['/', '/sign-in', `${HOOD}/who`]) assert.doesNotMatch(await policyOf(path), /script|connect/)
    const script = await new Visitor(url).visit(`${HOOD}/page.js`)
    assert.match(script.headers['content-type'] ?? '', /javascript/)
    assert.equal(script.headers['set-cookie'], undefined)
  })
})

describe('the stream of /under-the-hood', () => {
  it('tells of each request of this browser as it happens, and of no other', async (t) => {
    const { url } = await site(t)
    const [visitor, other] = [new Visitor(url), new Visitor(url)]
    await Promise.all([visitor.visit('/'), other.visit('/')])
    const stream = await streamOf(visitor, t)
    await other.visit('/sign-in')
    await visitor.visit('/cart')
    const { html = '' } = await stream.next('line', (data) => data['html']!.includes('/cart'))
    assert.match(html, /from the cache/)
    assert.doesNotMatch(stream.heard(), /sign-in/)
    await visitor.visit('/')
    await stream.next('record', (data) => data['text']!.includes('"visits":2'))
  })

  it('ends with the session, and says so to a tab that comes again', async (t) => {
    const { url } = await site(t)
    const visitor = new Visitor(url)
    await visitor.visit('/sign-in')
    const stream = await streamOf(visitor, t)
    await visitor.submit('/sign-out')
    await stream.end()
    const again = await streamOf(visitor, t)
    await again.next('over')
    await again.end()
  })

  it('is no use of the session', async (t) => {
    const store = recordingStore()
    const { url } = await site(t, { store })
    const visitor = new Visitor(url)
    await visitor.visit('/')
    await visitor.visit('/cart')
    const { now } = Date
    t.mock.method(Date, 'now', () => now() + 20 * 60_000)
    const stream = await streamOf(visitor, t)
    await stream.next('journal')
    assert.equal(store.count('touch'), 0)
    await visitor.visit('/signed-out')
    assert.equal(store.count('touch'), 1)
  })

  it('ends with the site', async (t) => {
    const { url, hood } = await site(t)
    const visitor = new Visitor(url)
    await visitor.visit('/')
    const stream = await streamOf(visitor, t)
    await hood.close()
    await stream.end()
  })
})

describe('the buttons of /under-the-hood', () => {
  it('race fifty requests, of which this library loses none and koa-session all but one', async (t) => {
    const { url } = await site(t)
    const visitor = new Visitor(url)
    await visitor.visit('/')
    await visitor.submit('/cart/add', { tea: 'mint' })
    await visitor.visit(HOOD)
    const page = await visitor.submit(`${HOOD}/race`)
    assert.deepEqual(resultsOf(page), [
      'good koa-server-session: lost nothing: 50 of 50 marks, counted to 50',
      'bad koa-session: lost 49 of 50 marks, and counted to 1',
    ])
    const lines = linesOf(page).filter((line) => line.includes('/part'))
    const times = lines.map((line) => Number(/(\d+) times/.exec(line)?.[1] ?? (line.includes('200') ? 1 : 0)))
    assert.equal(
      times.reduce((sum, count) => sum + count),
      50,
    )
    assert.ok(lines.some((line) => line.includes('goes with the next save')))
    assert.doesNotMatch(recordOf(page), /racer/)
    assert.deepEqual(cart(await visitor.visit('/cart')), { mint: 1 })
  })

  it('sign out during a slow request, which brings nobody back but with koa-session', async (t) => {
    const { url } = await site(t)
    const visitor = new Visitor(url)
    await visitor.visit('/')
    const kept = visitor.cookies.get('sid')!
    await visitor.visit(HOOD)
    const page = await visitor.submit(`${HOOD}/sign-out`)
    assert.deepEqual(resultsOf(page), [
      'good koa-server-session: stays signed out: what the slow request wrote went nowhere',
      'bad koa-session: the slow request brought the session back: the visitor is signed in again',
    ])
    assert.doesNotMatch(recordOf(page), /visits/)
    assert.notEqual(visitor.cookies.get('sid'), kept)
    const slow = linesOf(page).find((line) => line.includes('/slow'))
    assert.match(slow ?? '', /dropped, because the session has ended/)
    visitor.cookies.set('sid', kept)
    assert.equal((await visitor.visit(`${HOOD}/who`)).text, 'nobody')
  })

  it('change the signing key, which signs nobody out, not even over a restart', async (t) => {
    const directory = temporaryDirectory()
    const keyFile = join(directory, KEY_FILE)
    const store = memoryStore()
    const { keys } = keptSigningKeys(keyFile)
    const { url } = await site(t, { keys, store, hood: { keyFile } })
    const visitor = new Visitor(url)
    await visitor.visit('/')
    await visitor.visit(HOOD)
    const [token, signature] = visitor.cookies.get('sid')!.split('.')
    const page = await visitor.submit(`${HOOD}/key`)
    assert.deepEqual(resultsOf(page), [
      'good The session: goes on as it was',
      'good The cookie: was signed again with the new key, at once',
    ])
    const [sameToken, newSignature] = visitor.cookies.get('sid')!.split('.')
    assert.equal(sameToken, token)
    assert.notEqual(newSignature, signature)
    const kept = readFileSync(keyFile, 'utf8').trim().split('\n')
    assert.deepEqual([kept.length, kept[1]], [2, keys[0]])

    visitor.site = (await site(t, { keys: keptSigningKeys(keyFile).keys, store })).url
    assert.equal(visits(await visitor.visit('/')), '2')
  })

  it('drop no key that may have signed a cookie, however often the key is changed', () => {
    const keyFile = join(temporaryDirectory(), KEY_FILE)
    const { keys } = keptSigningKeys(keyFile)
    const newest = Array.from({ length: 25 }, () => addSigningKey(keyFile)[0])
    const kept = keptSigningKeys(keyFile).keys
    assert.deepEqual([...new Set([...keys, ...newest])].toSorted(), kept.toSorted())
    assert.notEqual(newest.at(-1), newest.at(-2))
  })

  it('are not there for what the site cannot do', async (t) => {
    const { url } = await site(t)
    const visitor = new Visitor(url)
    const { text } = await visitor.visit(HOOD)
    assert.doesNotMatch(text, /action="\/under-the-hood\/(key|redis)"/)
    const { token } = visitor
    for (const path of ['key', 'redis']) assert.equal((await visitor.post(`${HOOD}/${path}`, { token })).status, 404)
  })

  it('are refused from another origin, and without the token of the form', async (t) => {
    const { url } = await site(t)
    const visitor = new Visitor(url)
    await visitor.visit(HOOD)
    for (const path of ['race', 'sign-out', 'part', 'slow']) {
      assert.equal((await visitor.post(`${HOOD}/${path}`, {})).status, 403)
      const body = new URLSearchParams({ token: visitor.token })
      const headers = { origin: 'https://elsewhere.example' }
      assert.equal((await visitor.get(`${HOOD}/${path}`, { method: 'POST', body, headers })).status, 403)
    }
    assert.equal((await visitor.visit(`${HOOD}/who`)).text, 'somebody')
  })
})

/** The journal, newest first, without times. */
function linesOf({ text }: Reply): string[] {
  const items = text.split('<li id="line-').slice(1)
  return items.map((item) => {
    const [, request, steps = '', figures] =
      /<div class="request">(.*?)<\/div>.*?<ul class="steps">(.*?)<\/ul>.*?class="figures">(.*?)<time/s.exec(item) ?? []
    const words = [...steps.matchAll(/<li>(.*?)(?:<span|<\/li>)/gs)].map(([, what]) => textOf(what))
    return `${textOf(request)}: ${words.join(', ')}; ${textOf(figures)}`
  })
}

function textOf(html = ''): string {
  return html
    .replace(/<[^>]*>/g, '')
    .replace(/\s+/g, ' ')
    .trim()
}

function resultsOf({ text }: Reply): string[] {
  const rows = text.matchAll(/<div class="(good|bad)">\s*<dt>(.*?)<\/dt>\s*<dd>(.*?)<\/dd>/gs)
  return [...rows].map(([, kind, who, outcome]) => `${kind} ${who}: ${outcome}`)
}

function recordOf({ text }: Reply): string {
  // A browser leaves out a line break at the beginning.
  return (/<pre\s+id="record"[^>]*>\n?(.*?)<\/pre>/s.exec(text)?.[1] ?? '').replaceAll('&quot;', '"')
}

interface Stream {
  /** The next event of this name that fits; waits for it. */
  next(name: string, fits?: (data: Record<string, string>) => boolean): Promise<Record<string, string>>
  /** All that has come so far. */
  heard(): string
  /** Resolves when it has ended. */
  end(): Promise<void>
}

async function streamOf(visitor: Visitor, test: TestContext): Promise<Stream> {
  const gone = new AbortController()
  test.after(() => gone.abort())
  const cookie = [...visitor.cookies].map((pair) => pair.join('=')).join('; ')
  const answer = await fetch(new URL(`${HOOD}/events`, visitor.site), { headers: { cookie }, signal: gone.signal })
  assert.match(answer.headers.get('content-type') ?? '', /^text\/event-stream/)
  const chunks = answer.body!.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  let read = 0
  const more = async (): Promise<boolean> => {
    const { value, done } = await chunks.read()
    text += value ?? ''
    return !done
  }
  return {
    heard: () => text,
    async next(name, fits = () => true) {
      for (;;) {
        for (const [event, heard, data] of text.slice(read).matchAll(/event: (\w+)\ndata: (.*)\n\n/g)) {
          read = text.indexOf(event, read) + event.length
          if (heard === name && fits(JSON.parse(data!) as never)) return JSON.parse(data!) as never
        }
        assert.ok(await more(), `The stream has ended without ${name}: ${text}`)
      }
    },
    async end() {
      while (await more());
    },
  }
}
