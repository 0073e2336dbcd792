import assert from 'node:assert/strict'
import { channel } from 'node:diagnostics_channel'
import { describe, it, type TestContext } from 'node:test'
import type Koa from 'koa'
import pino from 'pino'
import { getSession, tryGetSessionId, type SessionOptions } from '../../src/index.ts'
import { companionSite, type CompanionSite } from '../support/sites/companion-site.ts'
import { KEY, sessionOf } from '../support/sites/http.ts'
import { recordingStore } from '../support/stores/recording-store.ts'
import { keysOf } from '../support/stores/stores.ts'

type Line = Record<string, unknown> & { msg: string; session?: string }

interface LoggedSite extends CompanionSite {
  readonly lines: Line[]
}

/** A site whose log knows whose session each line belongs to, without being told. */
async function loggedSite(
  test: TestContext,
  options: SessionOptions,
  handler: (ctx: Koa.Context, log: pino.Logger) => unknown,
): Promise<LoggedSite> {
  const lines: Line[] = []
  const log = pino(
    { base: null, mixin: () => ({ session: tryGetSessionId() }) },
    { write: (line: string) => void lines.push(JSON.parse(line) as Line) },
  )
  const site = await companionSite(test, options, (app, sessions) => {
    app.on('error', (error) => log.error(error))
    app.use(sessions)
    app.use(async (ctx) => {
      ctx.body = ''
      ctx.res.on('finish', () => log.info('answered'))
      await handler(ctx, log)
    })
  })
  return { ...site, lines }
}

/** Nothing that was logged holds the secret of the cookie, its signature or the signing key. */
function assertDiscreet(lines: Line[], cookie: string | undefined): void {
  const told = JSON.stringify(lines)
  for (const secret of [...(cookie ?? '').split('.'), KEY]) {
    assert.ok(secret.length > 20)
    assert.ok(!told.includes(secret), 'a secret is in the log')
  }
}

describe('pino', () => {
  it('has the public id of the session in each line, also of what is logged without ctx', async (test) => {
    const { visitor, lines, sessions } = await loggedSite(test, {}, async (ctx, log) => {
      sessionOf(ctx)['cart'] = 'tea'
      log.info('handled')
      await new Promise(setImmediate)
      log.child({ service: 'orders' }).info('by a service')
    })
    const ada = visitor()
    await ada.visit('/')
    assert.deepEqual(
      lines.map(({ msg }) => msg),
      ['handled', 'by a service', 'answered'],
    )
    const ids = new Set(lines.map(({ session }) => session))
    assert.equal(ids.size, 1)
    assert.equal(await sessions.revoke([...ids][0] ?? ''), true, 'it is what sessions.revoke takes')
    assertDiscreet(lines, ada.cookies.get('sid'))
  })

  it('keeps the lines of visitors apart who come at once, by a child logger too', async (test) => {
    const { visitor, lines } = await loggedSite(test, {}, async (ctx, log) => {
      sessionOf(ctx)['name'] = ctx.path
      const child = log.child({ owner: getSession().id })
      await new Promise(setImmediate)
      child.info(ctx.path)
    })
    await Promise.all(Array.from({ length: 8 }, (_, index) => visitor().visit(`/${index}`)))
    const own = lines.filter(({ msg }) => msg !== 'answered')
    assert.ok(own.every(({ owner, session }) => owner === session))
    assert.equal(new Set(own.map(({ session }) => session)).size, 8)
  })

  it('shows of ctx.session the data, and no secret', async (test) => {
    const { visitor, lines } = await loggedSite(test, {}, (ctx, log) => {
      sessionOf(ctx)['cart'] = { items: ['tea'] }
      log.info({ whole: ctx.session, state: { nested: getSession() } }, 'shown')
    })
    const ada = visitor()
    await ada.visit('/')
    await ada.visit('/')
    for (const line of lines.filter(({ msg }) => msg === 'shown')) {
      assert.deepEqual(line['whole'], { cart: { items: ['tea'] } })
      assert.deepEqual(line['state'], { nested: { cart: { items: ['tea'] } } })
    }
    assertDiscreet(lines, ada.cookies.get('sid'))
  })

  it('shows of an error what to do, its code and its cause, and neither secrets nor values', async (test) => {
    const store = recordingStore()
    const { visitor, lines } = await loggedSite(test, { store, cache: false }, (ctx) => {
      if (ctx.path === '/write') sessionOf(ctx)['card'] = '4000 1234 5678 9010'
      if (ctx.path === '/unstorable') sessionOf(ctx)['card'] = { number: () => '4000 1234 5678 9010' }
      if (ctx.path === '/read') ctx.body = String(sessionOf(ctx)['card'])
    })
    const ada = visitor()
    await ada.visit('/write')
    store.fail('load', Object.assign(new Error('connect failed'), { code: 'ECONNREFUSED' }))
    await ada.visit('/read')
    await ada.visit('/unstorable')
    const [outage, unstorable] = lines.filter(({ level }) => level === 50).map(({ err }) => err) as Record<
      string,
      string
    >[]
    assert.deepEqual([outage?.['type'], outage?.['code']], ['SessionError', 'ERR_SESSION_STORE_UNAVAILABLE'])
    assert.match(outage?.['message'] ?? '', /could not be read \(ECONNREFUSED\).*connect failed/)
    assert.equal(unstorable?.['code'], 'ERR_SESSION_VALUE')
    assert.match(unstorable?.['message'] ?? '', /card\.number/)
    assertDiscreet(lines, ada.cookies.get('sid'))
    assert.doesNotMatch(JSON.stringify(lines), /4000 1234/)
    // The key in the store is the public id, and may be told.
    assert.equal((await keysOf(store.elsewhere)).length, 1)
  })

  it('that logs on each request leaves answers to be shared, and needs no store', async (test) => {
    const store = recordingStore()
    const { visitor, lines } = await loggedSite(test, { store, cache: false }, (ctx, log) => {
      if (ctx.path === '/write') sessionOf(ctx)['a'] = 1
      log.info(ctx.path)
    })
    const ada = visitor()
    await ada.visit('/write')
    const page = await ada.visit('/plain')
    assert.deepEqual([page.headers.vary, page.headers['cache-control']], [undefined, undefined])
    store.fail('load', new Error('down'))
    assert.equal((await ada.visit('/outage')).status, 200)
    assert.equal((await visitor().visit('/stranger')).headers.vary, undefined)
    const [key] = await keysOf(store.elsewhere)
    assert.deepEqual(
      lines.filter(({ msg }) => msg !== 'answered').map(({ msg, session }) => [msg, session]),
      [
        ['/write', key],
        ['/plain', key],
        ['/outage', undefined],
        ['/stranger', undefined],
      ],
    )
  })

  it('logs what the diagnostics channels tell of forged cookies', async (test) => {
    const { visitor, lines } = await loggedSite(test, {}, (ctx) => void (sessionOf(ctx)['a'] = 1))
    const log = pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line) as Line) })
    const onSuspicious = (message: unknown): void => log.warn(message as object, 'suspicious')
    channel('koa-server-session:suspicious').subscribe(onSuspicious)
    test.after(() => channel('koa-server-session:suspicious').unsubscribe(onSuspicious))
    const ada = visitor()
    await ada.visit('/')
    const cookie = ada.cookies.get('sid') ?? ''
    ada.cookies.set('sid', `${cookie.slice(0, 44)}${'A'.repeat(43)}`)
    await ada.visit('/')
    const line = lines.find(({ msg }) => msg === 'suspicious')
    assert.deepEqual([line?.['cookieName'], line?.['reason']], ['sid', 'signature'])
    assertDiscreet(lines, cookie)
  })
})
