import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { describe, it } from 'node:test'
import { RedisStore } from 'connect-redis'
import { Redis } from 'ioredis'
import Keygrip from 'keygrip'
import Koa from 'koa'
import Koa2 from 'koa2'
import { MemcacheClient } from 'memcache-client'
import { createClient } from 'redis'
import type { CheckedCookie } from '../src/http/attributes.ts'
import { checkOptions, type SessionOptions } from '../src/options.ts'
import { memoryStore } from '../src/stores/memory.ts'
import { recordingStore } from './support/stores/recording-store.ts'
import { discreet } from './support/secrecy.ts'
import { collectWarnings } from './support/warnings.ts'

// It brings no types.
const { MemoryStore } = createRequire(import.meta.url)('express-session') as { MemoryStore: new () => object }

const KEY = 'a secret for signing cookies'
const store = memoryStore({ pruneInterval: 0 })

function check(options: object): ReturnType<typeof checkOptions> {
  return checkOptions({ store, ...options })
}

/** The attributes of all cookies. */
function fixedCookie(options: object): CheckedCookie {
  const { fixed } = check(options).cookie
  assert.ok(fixed)
  return fixed
}

/** The cookie's name, and whether it depends on the connection. */
function nameOf(cookie: object): [name: string, isAuto: boolean] {
  const { name, isAuto } = check({ cookie }).cookie
  return [name, isAuto]
}

/** Refused, with a message in which the option, the rule and (if it is no secret) the value can be read. */
function assertRefused(options: unknown, ...said: (RegExp | string)[]): void {
  assert.throws(
    () => checkOptions(options as SessionOptions),
    (error: Error) => {
      discreet('ERR_SESSION_OPTION', KEY)(error)
      for (const part of said)
        assert.match(error.message, typeof part === 'string' ? new RegExp(part.replaceAll('.', '\\.')) : part)
      return true
    },
  )
}

/** All names that are there, the inherited ones too. */
function namesIn(object: object): string[] {
  const parent: unknown = Object.getPrototypeOf(object)
  return [...Object.getOwnPropertyNames(object), ...(parent ? namesIn(parent) : [])]
}

describe('options that are left out', () => {
  it('are half an hour, eight hours, a cookie for this host, a cache of 32 MiB for a minute, and 64 KiB a session', () => {
    const { store: given, codec, cookie, ...options } = check({})
    assert.equal(given, store)
    assert.equal(codec.encode(new Date(0), 'since'), '{"~":[["Date","1970-01-01T00:00:00.000Z"]]}')
    assert.deepEqual(options, {
      keyring: undefined,
      ownsStore: false,
      cache: { max: 10_000, maxBytes: 33_554_432, maxAge: 60_000, allowStale: false, audit: 0 },
      idleTimeout: 1_800_000,
      absoluteTimeout: 28_800_000,
      persistent: false,
      encrypt: false,
      property: 'session',
      skip: undefined,
      passive: undefined,
      onStoreError: 'throw',
      movingFrom: undefined,
      maxRecordBytes: 65_536,
    })
    assert.deepEqual([cookie.name, cookie.isAuto], ['sid', true])
    assert.deepEqual(cookie.fixed, { path: '/', secure: 'auto', sameSite: 'lax' })
  })

  it('may be given as undefined, but for the keys, which were meant to be there then', () => {
    const names = [
      'cache',
      'idleTimeout',
      'absoluteTimeout',
      'cookie',
      'encrypt',
      'serializer',
      'property',
      'skip',
      'passive',
      'onStoreError',
      'maxRecordBytes',
    ]
    const { cookie: given, ...others } = check(Object.fromEntries(names.map((name) => [name, undefined])))
    const { cookie: absent, ...defaults } = check({})
    assert.deepEqual([others, given.fixed], [defaults, absent.fixed])
    const { name, fixed } = check({
      cookie: { name: undefined, path: undefined, domain: undefined, secure: undefined, partitioned: undefined },
    }).cookie
    assert.deepEqual([name, fixed?.path, fixed?.secure, fixed?.domain], ['sid', '/', 'auto', undefined])
    assertRefused({ keys: undefined }, /: keys is undefined\. Is the environment variable set\?.*app\.keys/)
  })
})

describe('options', () => {
  it('are copied, so that nothing changes them later', () => {
    const given = { cookie: { name: 'a' }, cache: { max: 5 }, idleTimeout: 5 }
    const options = check(given)
    given.cookie.name = 'b'
    given.cache.max = 6
    assert.equal(options.cookie.name, 'a')
    assert.equal(options.cache?.max, 5)
    assert.throws(() => ((options.cookie.fixed as { path: string }).path = '/c'), TypeError)
  })

  it('of another kind than an object are refused, and not shown: it may be a secret in the wrong place', () => {
    for (const wrong of [KEY, null, 5, [KEY], () => KEY]) assertRefused(wrong, 'the options must be an object')
  })

  it('that do not exist are refused by name', () => {
    assertRefused({ colour: KEY }, /: colour is not an option; there are keys, store/)
    assertRefused({ cookie: { colour: KEY } }, /: cookie\.colour is not an option; there are name/)
    assertRefused({ cache: { colour: 5 } }, /: cache\.colour is not an option; there are max/)
  })

  it('that are mistyped are guessed', () => {
    const typos = {
      idleTimout: 'idleTimeout',
      idletimeout: 'idleTimeout',
      absolutTimeout: 'absoluteTimeout',
      absoulteTimeout: 'absoluteTimeout',
      coookie: 'cookie',
      sotre: 'store',
      encrpyt: 'encrypt',
      serialiser: 'serializer',
      onStoreErr: 'onStoreError',
    }
    for (const [typed, meant] of Object.entries(typos)) {
      assertRefused({ [typed]: 5 }, new RegExp(`: ${typed} is not an option; did you mean ${meant}\\?$`))
    }
    assertRefused({ cookie: { samesite: 'lax' } }, /: cookie\.samesite is not an option; did you mean sameSite\?$/)
    assertRefused({ cache: { maxbyte: 5 } }, /: cache\.maxbyte is not an option; did you mean maxBytes\?$/)
  })

  it('of other libraries are refused with what to write here', () => {
    assertRefused({ secret: KEY }, /: secret is not an option\. .*keys: \[secret\]/)
    assertRefused({ key: 'koa.sess' }, /: key is not an option\. .*keys: \[secret\].*cookie: \{ name: 'sid' \}/)
    for (const name of ['maxAge', 'ttl'])
      assertRefused({ [name]: 5 }, /idleTimeout and absoluteTimeout, in milliseconds/)
    assertRefused({ cookie: { maxAge: 5 } }, /cookie\.maxAge is not an option\. .*idleTimeout and absoluteTimeout/)
    assertRefused({ cookie: { httpOnly: false } }, /cookie\.httpOnly is not an option\. .*always HttpOnly/)
    for (const name of ['rolling', 'resave', 'saveUninitialized']) assertRefused({ [name]: true }, 'nothing to set')
    assertRefused({ sameSite: 'lax' }, /inside cookie: \{/)
    assertRefused({ cache: { ttl: 5 } }, /cache\.ttl is not an option\. .*maxAge/)
    assertRefused({ toString: 5 }, /: toString is not an option; there are keys/)
  })

  it('are not the application, and not its context: that is a session() too few or an argument too many', () => {
    const app = new Koa()
    assertRefused(
      app,
      /: session\(\) takes options, not the application\. Write app\.use\(session\(\{ keys: \[secret\] \}\)\)/,
    )
    const ctx = app.createContext(
      new IncomingMessage(new Socket()),
      new ServerResponse({ method: 'GET' } as IncomingMessage),
    )
    assertRefused(ctx, /: app\.use\(session\) passes the function itself\. Write app\.use\(session\(\{ keys/)
  })
})

describe('keys', () => {
  it('are secrets or a Keygrip', () => {
    const signature = new Keygrip([KEY], 'sha256').sign('text')
    assert.equal(check({ keys: [KEY] }).keyring?.sign('text'), signature)
    assert.equal(check({ keys: new Keygrip([KEY], 'sha256') }).keyring?.sign('text'), signature)
  })

  it('that are wrong are refused, and not shown', () => {
    for (const keys of [KEY, [], null, { key: KEY }, [KEY, 'short']]) assertRefused({ keys }, 'keys')
    for (const keys of [KEY, Buffer.from(KEY)]) assertRefused({ keys }, /Write keys: \[secret\]/)
  })

  it('that are empty, as a variable is that is set to nothing, are left out', () => {
    const { keyring } = check({ keys: [KEY, ''] })
    assert.equal(keyring?.sign('text'), check({ keys: ['', KEY] }).keyring?.sign('text'))
    assert.equal(keyring?.indexOf('text', keyring.sign('text')), 0)
    for (const keys of [[''], ['', undefined]])
      assertRefused({ keys }, /keys holds no secret\. Is the environment variable set\?/)
  })
})

describe('store', () => {
  it('is a store, or the address of one, which is then ours to close', async () => {
    assert.equal(check({ store }).ownsStore, false)
    const made = check({ store: 'memory:' })
    assert.equal(made.ownsStore, true)
    await made.store.close?.()
  })

  it('that misses a method is refused, with the name of the method', () => {
    for (const method of ['load', 'save', 'touch', 'delete'] as const) {
      assertRefused(
        { store: { ...recordingStore(), [method]: undefined } },
        `store must be a URL or a store; it has no method ${method}`,
      )
    }
    for (const wrong of [null, 5, true, {}, new Map()]) assertRefused({ store: wrong }, 'store must be')
  })

  it('that is empty, as a variable is that is set to nothing, is refused', () => {
    assertRefused({ store: '' }, /: store is empty\. Is the environment variable set\?/)
  })

  it('of another library is refused with what to pass instead', async (test) => {
    const redis = new Redis({ lazyConnect: true })
    const client = createClient()
    test.after(() => redis.disconnect())
    const things: [thing: unknown, cure: RegExp][] = [
      [redis, /redisStore\(client\)/],
      [client, /redisStore\(client\)/],
      [new RedisStore({ client }), /store of connect-redis.*'redis:\/\/host'/],
      [new MemoryStore(), /fromExpressStore\(store\)/],
      [new MemcacheClient({ server: '127.0.0.1:1' }), /memcachedStore\(client\)/],
      [memoryStore, /call it/],
      [RedisStore, /call it/],
      [Promise.resolve(memoryStore()), /await it/],
    ]
    for (const [thing, cure] of things)
      assertRefused({ store: thing }, /^koa-server-session: store must be a URL or a store/, cure)
  })

  it('in this process’s memory is warned about in production', async (test) => {
    const warnings = await collectWarnings(test)
    const environment = process.env['NODE_ENV']
    test.after(() => {
      if (environment === undefined) delete process.env['NODE_ENV']
      else process.env['NODE_ENV'] = environment
    })
    process.env['NODE_ENV'] = 'development'
    await check({ store: 'memory' }).store.close?.()
    assert.deepEqual(await warnings(), [])
    process.env['NODE_ENV'] = 'production'
    await check({ store: 'memory:' }).store.close?.()
    assert.deepEqual(
      (await warnings()).map(({ code }) => code),
      ['SESSION_STORE_MEMORY'],
    )
  })

  it('is made when all else is right, because nobody would close it', () => {
    assertRefused({ store: {}, cookie: { name: 'a b' } }, 'cookie.name')
  })
})

describe('cache', () => {
  it('is false, or bounds', () => {
    assert.equal(check({ cache: false }).cache, undefined)
    assert.deepEqual(check({ cache: { max: 1, maxBytes: 2, maxAge: 0.5 } }).cache, {
      max: 1,
      maxBytes: 2,
      maxAge: 0.5,
      allowStale: false,
      audit: 0,
    })
  })

  it('serves what may be old only if it was allowed in so many words', () => {
    assert.equal(check({ cache: { maxAge: 5 } }).cache?.allowStale, false)
    assert.equal(check({ cache: { allowStale: true } }).cache?.allowStale, true)
  })

  it('is audited if a share is given', () => {
    for (const audit of [0, 0.001, 1]) assert.equal(check({ cache: { audit } }).cache?.audit, audit)
  })

  it('of another kind is refused', () => {
    for (const cache of [true, null, 5, 'on', []]) assertRefused({ cache }, 'cache must be false or an object')
    for (const max of [0, -1, 1.5, NaN, Infinity, '5', null]) {
      assertRefused({ cache: { max } }, `cache.max must be a whole number above 0; it is `)
      assertRefused({ cache: { maxBytes: max } }, 'cache.maxBytes must be a whole number above 0')
    }
    for (const maxAge of [0, -1, NaN, Infinity, '5', null])
      assertRefused({ cache: { maxAge } }, 'cache.maxAge must be a number above 0')
    for (const audit of [-0.1, 1.1, 100, NaN, '0.1', true, null])
      assertRefused({ cache: { audit } }, 'cache.audit must be a share, from 0 to 1, such as 0.001; it is ')
  })
})

describe('idleTimeout and absoluteTimeout', () => {
  it('are milliseconds above 0, up to a hundred years', () => {
    for (const name of ['idleTimeout', 'absoluteTimeout']) {
      assert.equal(check({ [name]: 0.5 })[name as 'idleTimeout'], 0.5)
      assert.ok(check({ [name]: 100 * 365 * 24 * 3_600_000 }))
      for (const wrong of [
        0,
        -1,
        NaN,
        Infinity,
        '5',
        null,
        1e15,
        Number.MAX_SAFE_INTEGER,
        {},
        Object.create(null),
        5n,
      ]) {
        assertRefused({ [name]: wrong }, new RegExp(`${name} must be a number of milliseconds above 0.*; it is `))
      }
    }
  })
})

describe('timeouts that were hardly meant', () => {
  const DAY = 86_400_000
  const cases: [title: string, options: object, code: string | undefined, said?: RegExp][] = [
    ['none', {}, undefined],
    ['both', { idleTimeout: 7 * DAY, absoluteTimeout: 30 * DAY }, undefined],
    ['both the same', { idleTimeout: 7 * DAY, absoluteTimeout: 7 * DAY }, undefined],
    ['an idle timeout below the default', { idleTimeout: 600_000 }, undefined],
    ['an absolute timeout above the default', { absoluteTimeout: 30 * DAY }, undefined],
    [
      'an idle timeout of a week alone',
      { idleTimeout: 7 * DAY },
      'SESSION_TIMEOUTS_CONTRADICT',
      /^session\(\): idleTimeout \(7 days\) is longer than absoluteTimeout \(8 hours, the default\), so a session ends after 8 hours/,
    ],
    [
      'an absolute timeout of ten minutes alone',
      { absoluteTimeout: 600_000 },
      'SESSION_TIMEOUTS_CONTRADICT',
      /idleTimeout \(30 minutes, the default\) is longer than absoluteTimeout \(10 minutes\), so a session ends after 10 minutes/,
    ],
    [
      'an idle timeout above the absolute one',
      { idleTimeout: 2 * DAY, absoluteTimeout: 1.5 * DAY },
      'SESSION_TIMEOUTS_CONTRADICT',
      /idleTimeout \(2 days\) is longer than absoluteTimeout \(1\.5 days\)/,
    ],
    [
      'minutes',
      { idleTimeout: 30 },
      'SESSION_TIMEOUT_SHORT',
      /idleTimeout is 30 milliseconds\. Were seconds, minutes or days meant\?/,
    ],
    ['seconds', { idleTimeout: 1800 }, 'SESSION_TIMEOUT_SHORT', /idleTimeout is 1800 milliseconds/],
    ['hours', { absoluteTimeout: 8 }, 'SESSION_TIMEOUT_SHORT', /absoluteTimeout is 8 milliseconds/],
  ]
  for (const [title, options, code, said] of cases) {
    it(`${title}: ${code ? `the warning ${code}, once` : 'no warning'}`, async (test) => {
      const warnings = await collectWarnings(test)
      check(options)
      const heard = await warnings()
      assert.deepEqual(
        heard.map((warning) => warning.code),
        code ? [code] : [],
      )
      assert.match(heard[0]?.message ?? '', said ?? /^$/)
    })
  }
})

describe('maxRecordBytes', () => {
  it('is a number above 0', () => {
    assert.equal(check({ maxRecordBytes: 1 }).maxRecordBytes, 1)
    for (const wrong of [0, -1, NaN, Infinity, '64k', null])
      assertRefused({ maxRecordBytes: wrong }, 'maxRecordBytes must be a number above 0')
  })
})

describe('property', () => {
  it('is a name for a property of ctx', () => {
    for (const property of ['session', 'admin', 'adminSession', '$admin', '_admin', 'a1', 'sitzung', 'séance'])
      assert.equal(check({ property }).property, property)
    for (const property of ['', 'a b', 'a.b', '1a', 5, null, Symbol('admin'), ['admin']])
      assert.throws(() => check({ property }), /property must be a name for a property of ctx, such as 'admin'; it is /)
  })

  it('is not what a context of Koa 2 or 3 has already', () => {
    for (const app of [new Koa(), new Koa2()]) {
      const req = new IncomingMessage(new Socket())
      const names = namesIn(app.createContext(req, new ServerResponse(req)))
      assert.ok(names.includes('body') && names.includes('cookies') && names.includes('throw'))
      for (const property of [...names, 'respond'])
        assertRefused({ property }, /: property (?:is '\w+', and Koa has a ctx\.\w+ already|must be a name)/)
    }
  })
})

describe('skip, passive, onStoreError and serializer', () => {
  it('are two functions, one of two words, and a pair of functions', () => {
    const serializer = { stringify: String, parse: String }
    const [skip, passive] = ['/asset', '/poll'].map((path) => (ctx: Koa.Context) => ctx.path === path)
    const options = check({ skip: skip!, passive: passive!, onStoreError: 'anonymous', serializer })
    const at = (path: string): Koa.Context => ({ path }) as Koa.Context
    assert.deepEqual([options.skip?.(at('/asset')), options.skip?.(at('/'))], [true, false])
    assert.deepEqual([options.passive?.(at('/poll')), options.passive?.(at('/'))], [true, false])
    assert.deepEqual([options.onStoreError, options.codec.encode(1, 'a')], ['anonymous', '{"~":"1"}'])
  })

  it('that answer by a promise are refused when they are asked, because a promise is never false', () => {
    for (const name of ['skip', 'passive'] as const) {
      const ask = (async () => false) as unknown as () => boolean
      assert.throws(() => check({ [name]: ask })[name]?.({} as Koa.Context), {
        code: 'ERR_SESSION_OPTION',
        message: new RegExp(`: ${name} must answer at once, and returned a promise`),
      })
    }
  })

  it('of another kind are refused', () => {
    for (const wrong of [true, '/assets', null, {}]) {
      assertRefused({ skip: wrong }, 'skip must be a function; it is')
      assertRefused({ passive: wrong }, 'passive must be a function; it is')
    }
    for (const word of ['ignore', true, null])
      assertRefused({ onStoreError: word }, 'onStoreError must be one of throw, anonymous; it is')
    for (const serializer of [
      null,
      JSON.stringify,
      {},
      { stringify: String },
      { parse: String },
      { stringify: 1, parse: 2 },
    ]) {
      assertRefused({ serializer }, 'serializer must have the functions stringify and parse')
    }
  })
})

describe('cookie', () => {
  it('of another kind than an object is refused', () => {
    for (const cookie of ['sid', null, true, [], 5]) assertRefused({ cookie }, 'cookie must be an object')
  })

  it('has a name and a path that a cookie may have', () => {
    for (const name of ['sid', 'SID', '__Secret', "a!#$%&'*+-.^_`|~9"])
      assert.deepEqual(nameOf({ name }), [name, false])
    for (const name of ['', 'a b', 'a=b', 'a;b', 'a,b', 'ä', 'a\n', '"a"', 5, null])
      assertRefused({ cookie: { name } }, 'cookie.name must be a cookie name')
    for (const path of ['/', '/a/b c', '/%20']) assert.equal(fixedCookie({ cookie: { path } }).path, path)
    for (const path of ['', 'a', '/a;b', '/a\n', '/ä', 5, null])
      assertRefused({ cookie: { path } }, 'cookie.path must begin with /')
  })

  it('has one name over https and one over http, unless it has a name of its own, or browsers keep no prefix', () => {
    assert.deepEqual(nameOf({ name: 'auto' }), ['sid', true])
    assert.deepEqual(nameOf({ name: { auto: 'shop' } }), ['shop', true])
    assert.deepEqual(nameOf({ name: { auto: 'shop' }, secure: true }), ['shop', true])
    for (const attributes of [{ path: '/a' }, { domain: 'example.com' }, { secure: false }]) {
      assert.deepEqual(nameOf(attributes), ['sid', false])
      assert.deepEqual(nameOf({ name: { auto: 'shop' }, ...attributes }), ['shop', false])
    }
    const { name, isAuto } = check({ cookie: () => ({}), cookieName: { auto: 'shop' } }).cookie
    assert.deepEqual([name, isAuto], ['shop', true])
    assertRefused(
      { cookie: { name: { auto: 'a b' } } },
      /cookie\.name\.auto must be a cookie name \(RFC 6265\); it is 'a b'/,
    )
    assertRefused(
      { cookie: { name: { auto: '__Host-sid' } } },
      /cookie\.name\.auto must be the name without its prefix/,
    )
    assertRefused({ cookie: { name: { automatic: 'sid' } } }, /cookie\.name\.automatic is not an option/)
    assertRefused({ cookie: { name: {} } }, 'cookie.name.auto must be a cookie name')
  })

  it('has a domain that is one', () => {
    for (const domain of ['example.com', '.example.com', 'localhost', 'xn--bcher-kva.example']) {
      assert.equal(fixedCookie({ cookie: { domain } }).domain, domain)
    }
    for (const domain of ['', 'a b', 'a;b', 'https://a', 'a/b', 'a\n', 5, null, ['a']])
      assertRefused({ cookie: { domain } }, 'cookie.domain must be a host name')
  })

  it('has attributes that browsers know', () => {
    const wrong: [name: string, values: unknown[]][] = [
      ['secure', ['yes', 1, null]],
      ['sameSite', ['Lax', true, false, null]],
      ['priority', ['High', true, null]],
      ['partitioned', ['true', 1, null]],
      ['persistent', ['true', 1, null]],
    ]
    for (const [name, values] of wrong) {
      for (const value of values)
        assertRefused({ cookie: { [name]: value } }, new RegExp(`cookie\\.${name} must be one of .*; it is `))
    }
    const cookie = { secure: true, sameSite: 'strict', priority: 'low', partitioned: false, persistent: true }
    assert.deepEqual(fixedCookie({ cookie }), { path: '/', ...cookie })
  })

  it('is secure in so many words where browsers insist', () => {
    const insisting = [
      { sameSite: 'none' },
      { partitioned: true },
      { name: '__Host-sid' },
      { name: '__Secure-sid' },
      { name: '__host-sid' },
    ]
    for (const cookie of insisting) {
      for (const secure of [undefined, 'auto', false])
        assertRefused({ cookie: { ...cookie, secure } }, /cookie\.secure must be true with /)
      assert.equal(fixedCookie({ cookie: { ...cookie, secure: true } }).secure, true)
    }
  })

  it('has no domain and the whole host with the prefix __Host-', () => {
    const name = '__Host-sid'
    assertRefused({ cookie: { name, secure: true, path: '/a' } }, 'needs the path / and no domain')
    assertRefused({ cookie: { name, secure: true, domain: 'example.com' } }, 'needs the path / and no domain')
    assert.ok(check({ cookie: { name: '__Secure-sid', secure: true, path: '/a', domain: 'example.com' } }))
  })
})

describe('cookie, as a function', () => {
  const ctx = new Koa().createContext(new IncomingMessage(new Socket()), new ServerResponse({ method: 'GET' } as never))

  it('gives each request its attributes, and the cookie one name', () => {
    const { cookie } = check({ cookie: () => ({ path: '/a', secure: true }), cookieName: '__Secure-wid' })
    assert.deepEqual([cookie.name, cookie.fixed], ['__Secure-wid', undefined])
    assert.deepEqual(cookie.cookieFor(ctx), { path: '/a', secure: true, sameSite: 'lax' })
    const plain = check({ cookie: () => ({}) }).cookie
    assert.deepEqual([plain.name, plain.cookieFor(ctx).path], ['sid', '/'])
    assert.equal(check({ cookie: () => ({ name: 'sid' }) }).cookie.cookieFor(ctx).path, '/')
  })

  it('is asked with the context of the request', () => {
    let asked: unknown
    check({ cookie: (given: unknown) => ((asked = given), {}) }).cookie.cookieFor(ctx)
    assert.equal(asked, ctx)
  })

  it('is checked where it returns', () => {
    const results: [result: unknown, said: RegExp][] = [
      [undefined, /cookie is a function, and must return an object at once/],
      [Promise.resolve({}), /cookie is a function, and must return an object at once/],
      [{ maxAge: 5 }, /cookie\.maxAge is not an option\. .*idleTimeout/],
      [{ secure: 'yes' }, /cookie\.secure must be one of/],
      [{ sameSite: 'none' }, /cookie\.secure must be true with cookie\.sameSite 'none'/],
      [{ name: 'wid' }, /cookie\.name is 'wid', and the cookie of all requests is 'sid'\. Name it once, as cookieName/],
    ]
    for (const [result, said] of results) {
      const { cookie } = check({ cookie: () => result })
      assert.throws(
        () => cookie.cookieFor(ctx),
        (error: Error) => discreet('ERR_SESSION_OPTION')(error) && said.test(error.message),
      )
    }
  })

  it('has its name checked at once, and only a function has a name of its own', () => {
    assertRefused({ cookie: () => ({}), cookieName: 'a b' }, 'cookieName must be a cookie name')
    assertRefused({ cookieName: 'wid' }, /cookieName is for a cookie that is a function\. Write cookie: \{ name \}/)
    assertRefused({ cookie: { path: '/a' }, cookieName: 'wid' }, /cookieName is for a cookie that is a function/)
  })
})
