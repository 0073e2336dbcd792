import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import Keygrip from 'keygrip'
import {
  isSessionError,
  memoryStore,
  session,
  type Session,
  type SessionErrorCode,
  type SessionOptions,
} from '../../../src/index.ts'
import {
  fromExpressSession,
  fromFlaskSession,
  fromKoaGenericSession,
  fromKoaSession,
  type KoaSessionSource,
} from '../../../src/tools/moving.ts'
import { KEY, OLD_KEY, sessionOf, siteWith, type Reply } from '../../support/sites/http.ts'
import { keysOf } from '../../support/stores/stores.ts'
import { collectWarnings } from '../../support/warnings.ts'

const KEYS = ['the secret of before']

/** The cookies that koa-session sets, as the package `cookies` signs them. */
function cookieOf(value: string): string {
  return `koa.sess=${value}; koa.sess.sig=${new Keygrip(KEYS).sign(`koa.sess=${value}`)}`
}

/** A site that has left koa-session, whose store is `records`. */
async function site(test: TestContext, options: SessionOptions = {}, source: Partial<KoaSessionSource<never>> = {}) {
  const records = new Map<string, object>()
  const store = memoryStore({ pruneInterval: 0 })
  const old = { get: (key: string) => records.get(key), destroy: (key: string) => records.delete(key) }
  const reader = fromKoaSession({ keys: KEYS, store: old, ...source })
  const made = await siteWith(test, { store, movingFrom: [reader], ...options }, async (ctx) => {
    if (ctx.path === '/untouched') return void (ctx.body = 'untouched')
    const visitor = sessionOf(ctx)
    if (ctx.path === '/write') visitor['written'] = true
    if (ctx.path === '/renew') await visitor.regenerate({ keep: true })
    if (ctx.path === '/fail') ctx.throw(500)
    ctx.body = { ...visitor }
  })
  return {
    ...made,
    store,
    old,
    records,
    /** Somebody who is signed in there under this id; returns the cookies. */
    signedIn(id: string, data: object = { user: 'ada' }): string {
      records.set(id, data)
      return cookieOf(id)
    },
  }
}

function setNames({ cookies }: Reply): string[] {
  return cookies.map((header) => header.replace(/=(?:;.*)?.*$/s, header.includes('=;') ? ' removed' : ''))
}

describe('movingFrom', () => {
  it('takes a session over in a request that does not touch it', async (test) => {
    const { agent, signedIn, records } = await site(test)
    const reply = await agent().get('/untouched', { cookie: signedIn('one') })
    assert.deepEqual(setNames(reply), ['sid', 'koa.sess removed', 'koa.sess.sig removed'])
    assert.equal(records.size, 0)
  })

  it('asks the old store for nobody who has a session here', async (test) => {
    const { agent, old, signedIn } = await site(test)
    const visitor = agent()
    await visitor.get('/write')
    old.get = () => assert.fail('read')
    const reply = await visitor.get('/', { cookie: `${signedIn('one')}; ${visitor.cookieHeader}` })
    assert.deepEqual(reply.json(), { written: true })
    await agent().get('/', { cookie: 'koa.sess=one; other=cookies' })
  })

  it('gives the new cookie with the first answer that is none of a failure', async (test) => {
    const { agent, signedIn, store } = await site(test)
    const cookie = signedIn('one')
    assert.deepEqual(setNames(await agent().get('/fail', { cookie })), [])
    const visitor = agent()
    assert.deepEqual((await visitor.get('/', { cookie })).json(), { user: 'ada' })
    assert.deepEqual([...visitor.cookies.keys()], ['sid'])
    assert.equal((await keysOf(store)).length, 1)
  })

  it('lets the same request renew the session, whose old cookie is then that of a session that has moved', async (test) => {
    const { agent, signedIn } = await site(test)
    const cookie = signedIn('one')
    const visitor = agent()
    const reply = await visitor.get('/renew', { cookie })
    assert.deepEqual(setNames(reply), ['sid', 'koa.sess removed', 'koa.sess.sig removed'])
    assert.deepEqual((await visitor.get('/')).json(), { user: 'ada' })
    const late = await agent().get('/write', { cookie })
    assert.deepEqual([late.json(), late.cookies], [{ written: true }, []], 'nothing takes the place of the new cookie')
  })

  it('signs nobody out while the old store is down', async (test) => {
    for (const onStoreError of ['throw', 'anonymous'] as const) {
      const { agent, old, signedIn, sessions } = await site(test, { onStoreError })
      const { get } = old
      const cookie = signedIn('one')
      old.get = () => {
        throw new Error('connection refused')
      }
      const down = await agent().get('/', { cookie })
      assert.deepEqual([down.status, down.cookies], onStoreError === 'throw' ? [503, []] : [200, []])
      if (onStoreError === 'throw') assert.equal((await agent().get('/untouched', { cookie })).status, 200)
      assert.ok(sessions.stats().errors > 0)
      old.get = get
      assert.deepEqual((await agent().get('/', { cookie })).json(), { user: 'ada' })
    }
  })

  const silence = new Promise<object>(() => {})

  it('signs nobody out if the old store fails without a word', async (test) => {
    const nothing: unknown = undefined
    const fails = (): Promise<never> => Promise.reject(nothing)
    const reader = fromExpressSession({ secret: KEYS, store: { get: fails, destroy: fails } })
    const { agent } = await site(test, { movingFrom: [reader] })
    const [secret = ''] = KEYS
    const signature = createHmac('sha256', secret).update('one').digest('base64').replace(/=+$/, '')
    const cookie = `connect.sid=${encodeURIComponent(`s:one.${signature}`)}`
    assert.equal((await agent().get('/', { cookie })).status, 503)
  })

  it('waits for an old store that is silent no longer than for our own', async (test) => {
    const warnings = await collectWarnings(test)
    const { agent, signedIn } = await site(test, {}, { store: { get: () => silence, destroy() {} } })
    assert.equal((await agent().get('/', { cookie: signedIn('one') })).status, 503)
    assert.match(
      (await warnings()).at(-1)?.message ?? '',
      /old sessions, koa-session \(koa\.sess\).*no answer within 2000 ms/,
    )
  })

  it('hands the data to `take`, which may identify and remember the visitor and leave things out', async (test) => {
    const take = (visitor: Session, data: { user?: string; rest?: string }): void => {
      Object.assign(visitor, { name: data.user })
      visitor.identify(String(data.user))
      visitor.remember(86_400_000)
    }
    const { agent, signedIn, sessions } = await site(test, {}, { take })
    const reply = await agent().get('/', { cookie: signedIn('one', { user: 'ada', rest: 'left' }) })
    assert.deepEqual(reply.json(), { name: 'ada' })
    assert.match(reply.cookies[0] ?? '', /; Max-Age=8(?:6400|6399);/)
    assert.equal((await sessions.list('ada')).length, 1)
  })

  it('leaves behind what has the name of a member, and says so', async (test) => {
    const warnings = await collectWarnings(test)
    const { agent, signedIn } = await site(test)
    const reply = await agent().get('/', {
      cookie: signedIn('one', { user: 'ada', id: 5, flash: { info: ['hello'] } }),
    })
    assert.deepEqual(reply.json(), { user: 'ada' })
    const [told] = await warnings()
    assert.equal(told?.code, 'SESSION_LEFT_BEHIND')
    assert.match(told?.message ?? '', /koa-session \(koa\.sess\).*under the name id.*`take:/)
  })

  it('leaves the old session as it is if it cannot be one of ours', async (test) => {
    const { agent, signedIn, records, store } = await site(test, { maxRecordBytes: 300 })
    const cookie = signedIn('one', { user: 'x'.repeat(400) })
    assert.equal((await agent().get('/', { cookie })).status, 500)
    assert.equal(records.size, 1)
    records.set('one', { user: 'ada' })
    assert.deepEqual((await agent().get('/', { cookie })).json(), { user: 'ada' })
    assert.equal((await keysOf(store)).length, 1)
  })

  it('takes over on a socket too, and the next page brings the new cookie', async (test) => {
    const { agent, signedIn, sessions, records } = await site(test)
    const request = new IncomingMessage(new Socket())
    request.headers.cookie = signedIn('one')
    const opened = (await sessions.open(request)) as Session<{ user?: string }> | undefined
    assert.equal(opened?.user, 'ada')
    assert.equal(records.size, 0)
    const visitor = agent()
    assert.deepEqual((await visitor.get('/', { cookie: cookieOf('one') })).json(), { user: 'ada' })
    assert.deepEqual([...visitor.cookies.keys()], ['sid'])
  })

  it('works with keys that rotate, with a Keygrip, and with records that are encrypted', async (test) => {
    for (const options of [
      { keys: new Keygrip([KEY], 'sha256') },
      { keys: [OLD_KEY], encrypt: true },
    ] as SessionOptions[]) {
      const { agent, signedIn, sessions } = await site(test, options)
      const cookie = signedIn('one')
      assert.deepEqual((await agent().get('/', { cookie })).json(), { user: 'ada' })
      if (options.encrypt) sessions.rotate([KEY, OLD_KEY])
      const visitor = agent()
      assert.deepEqual((await visitor.get('/', { cookie })).json(), { user: 'ada' }, 'the answer was lost')
      assert.deepEqual((await visitor.get('/')).json(), { user: 'ada' })
    }
  })

  it('reads what koa-session keeps in a cookie of its own kind, and no cookie that is not JSON', async (test) => {
    const reader = fromKoaSession({ keys: KEYS, decode: (text) => ({ user: Buffer.from(text, 'hex').toString() }) })
    const own = await site(test, { movingFrom: [reader] })
    assert.deepEqual((await own.agent().get('/', { cookie: cookieOf('616461') })).json(), { user: 'ada' })
    const plain = await site(test, { movingFrom: [fromKoaSession({ keys: KEYS })] })
    assert.deepEqual((await plain.agent().get('/', { cookie: cookieOf('616461') })).json(), {})
  })

  it('asks one library after the other', async (test) => {
    const records = new Map([['session:the-id-of-a-session', '{"user":"bob"}']])
    const flask = fromFlaskSession({
      read: (key) => (records.has(key) ? Buffer.from(records.get(key) ?? '') : undefined),
      remove: (key) => records.delete(key),
    })
    const { agent } = await site(test, { movingFrom: [fromKoaSession({ keys: KEYS }), flask] })
    const cookie = `${cookieOf('none')}; session=the-id-of-a-session`
    assert.deepEqual((await agent().get('/', { cookie })).json(), { user: 'bob' })
  })

  it('removes an old cookie whose name has a prefix, for which browsers ask for Secure', async (test) => {
    const key = '__Host-old'
    const { agent, records } = await site(test, {}, { key })
    records.set('one', { user: 'ada' })
    const cookie = `${key}=one; ${key}.sig=${new Keygrip(KEYS).sign(`${key}=one`)}`
    const { cookies } = await agent().get('/', { cookie })
    const farewells = cookies.filter((header) => header.startsWith(key))
    assert.equal(farewells.length, 2)
    for (const header of farewells) assert.match(header, /^[^=]+=; Max-Age=0; .*; Path=\/; Secure$/)
  })

  it('removes the old cookie where it was', async (test) => {
    const { agent, signedIn } = await site(test, {}, { cookie: { path: '/shop', domain: 'shop.test' } })
    const { cookies } = await agent().get('/', { cookie: signedIn('one') })
    assert.match(cookies[1] ?? '', /^koa\.sess=; .*; Path=\/shop; Domain=shop\.test$/)
  })
})

describe('the options of movingFrom and its readers', () => {
  const refused = (work: () => unknown, said: RegExp): void =>
    assert.throws(work, (error) => {
      assert.ok(isSessionError(error, 'ERR_SESSION_OPTION' satisfies SessionErrorCode), String(error))
      assert.match(error.message, said)
      assert.doesNotMatch(error.message, /the secret of before/)
      return true
    })
  const store = { get() {}, destroy() {} }

  it('that are wrong are refused by name', () => {
    for (const movingFrom of [{}, 'koa-session', [{}], [null], [fromKoaSession]])
      refused(
        () => session({ keys: [KEY], store: 'memory:', movingFrom } as never),
        /movingFrom must be a list of readers/,
      )
    refused(() => fromKoaSession({} as never), /fromKoaSession: keys must be the secrets/)
    refused(() => fromKoaSession({ keys: 'the secret of before' } as never), /keys must be the secrets/)
    refused(() => fromKoaSession({ keys: KEYS, store: {} } as never), /store must be the store.*no method get/)
    refused(() => fromKoaSession({ keys: KEYS, decode: 5 } as never), /decode must be a function/)
    refused(() => fromKoaSession({ keys: KEYS, maxAge: 5 } as never), /maxAge is not an option/)
    refused(() => fromKoaSession({ keys: KEYS, key: 'a b' }), /key must be the name of the old cookie/)
    refused(() => fromKoaSession({ keys: KEYS, cookie: { path: '/;' } }), /hold no ;/)
    refused(() => fromKoaSession({ keys: KEYS, take: true } as never), /take must be a function/)
    refused(() => fromKoaGenericSession({ keys: KEYS } as never), /store must be the store/)
    refused(() => fromKoaGenericSession({ keys: KEYS, store, prefix: 5 } as never), /prefix must be a string/)
    refused(() => fromExpressSession({ secret: '', store }), /fromExpressSession: secret must be the secrets/)
    refused(() => fromExpressSession({ secret: KEYS, store, key: 'connect.sid' } as never), /key is not an option/)
    refused(() => fromFlaskSession({ read: 5 } as never), /read must be a function/)
    refused(() => fromFlaskSession({ read() {}, remove() {}, secretKey: [] } as never), /secretKey must be the secrets/)
  })

  it('may be an empty list, which is none', async (test) => {
    const { agent } = await site(test, { movingFrom: [] })
    assert.deepEqual((await agent().get('/', { cookie: cookieOf('one') })).json(), {})
  })
})
