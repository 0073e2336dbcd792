import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { PassThrough } from 'node:stream'
import { describe, it, type TestContext } from 'node:test'
import Koa from 'koa'
import {
  getSession,
  memoryStore,
  session,
  tryGetSessionId,
  type DiagnosticMessage,
  type SessionOptions,
} from '../../src/index.ts'
import { currentSession, KEY, serve, sessionOf, siteWith, type Agent, type AnySession } from '../support/sites/http.ts'
import { until } from '../support/servers/server-process.ts'
import { recordingStore } from '../support/stores/recording-store.ts'
import { keysOf } from '../support/stores/stores.ts'

type Handlers = Record<string, (ctx: Koa.Context, session: AnySession) => unknown>

/** A site with a handler for each path; `/in` signs alice in, `/` answers with the data. */
async function site(test: TestContext, handlers: Handlers, options: SessionOptions = {}) {
  const store = memoryStore()
  const errors: (Error & { code?: string })[] = []
  const started = await siteWith(test, { store, ...options }, async (ctx) => {
    if (ctx.path === '/in') sessionOf(ctx)['user'] = 'alice'
    const handler = handlers[ctx.path]
    if (handler) await handler(ctx, sessionOf(ctx))
    if (ctx.respond !== false) ctx.body ??= { ...ctx.session }
  })
  started.app.on('error', (error) => errors.push(error))
  const browser = started.agent()
  await browser.get('/in')
  return { ...started, store, errors, browser }
}

function reports(test: TestContext, name: string): DiagnosticMessage[] {
  const heard: DiagnosticMessage[] = []
  const listen = (message: unknown): void => void heard.push(message as DiagnosticMessage)
  subscribe(`koa-server-session:${name}`, listen)
  test.after(() => unsubscribe(`koa-server-session:${name}`, listen))
  return heard
}

const data = async (browser: Agent): Promise<unknown> => (await browser.get('/')).json()

describe('ctx.session = …', () => {
  it('null ends the session and clears the cookie, also for undefined', async (test) => {
    for (const nothing of [null, undefined]) {
      const { browser, store } = await site(test, {
        '/out': (ctx) => {
          ctx.session = nothing
          assert.equal(sessionOf(ctx)['user'], undefined)
        },
      })
      const { cookies, text } = await browser.get('/out')
      assert.match(cookies[0] ?? '', /^sid=; Max-Age=0/)
      assert.equal(text, '{}')
      assert.deepEqual(await keysOf(store), [])
    }
  })

  it('null and then destroy() ends the session as soon as that resolves, and says so if the store fails', async (test) => {
    const store = recordingStore()
    const { browser } = await site(
      test,
      {
        '/out': async (ctx, session) => {
          ctx.session = null
          store.fail('delete', new Error('down'))
          await assert.rejects(session.destroy(), { code: 'ERR_SESSION_STORE_UNAVAILABLE' })
          assert.equal(session['user'], 'alice')
          ctx.session = null
          await session.destroy()
          ctx.body = await keysOf(store.elsewhere)
        },
      },
      { store },
    )
    const { cookies, text } = await browser.get('/out')
    assert.match(cookies[0] ?? '', /^sid=; Max-Age=0/)
    assert.equal(text, '[]')
    assert.equal(store.count('delete'), 2)
  })

  it('an object replaces the data and keeps the id', async (test) => {
    const { browser } = await site(test, {
      '/set': (ctx, old) => {
        old['nested'] = { a: 1 }
        const { id } = old
        ctx.session = { theme: 'dark', list: [1] }
        assert.equal(ctx.session.id, id)
      },
    })
    const { cookies } = await browser.get('/set')
    assert.deepEqual(cookies, [])
    assert.deepEqual(await data(browser), { theme: 'dark', list: [1] })
  })

  it('the session itself changes nothing, a copy of it with a change does', async (test) => {
    const { browser, sessions } = await site(test, {
      '/same': (ctx) => (ctx.session = getSession()),
      '/copy': (ctx) => (ctx.session = { ...ctx.session, more: 1 }),
    })
    const { saves } = sessions.stats()
    await browser.get('/same')
    assert.equal(sessions.stats().saves, saves)
    await browser.get('/copy')
    assert.deepEqual(await data(browser), { user: 'alice', more: 1 })
  })

  it('null and then an object is a new session under a new id', async (test) => {
    const { browser, store } = await site(test, {
      '/swap': (ctx) => {
        ctx.session = null
        ctx.session = { user: 'bob' }
      },
    })
    const old = browser.cookieHeader
    const { cookies } = await browser.get('/swap')
    assert.equal(cookies.length, 1)
    assert.notEqual(browser.cookieHeader, old)
    assert.deepEqual(await data(browser), { user: 'bob' })
    assert.equal((await keysOf(store)).length, 1)
  })

  it('anything else is a TypeError, a reserved name ERR_SESSION_RESERVED_KEY, and the old data stay', async (test) => {
    const { browser } = await site(test, {
      '/set': (ctx) => {
        for (const wrong of ['text', 1, true, [1], Symbol('s'), () => {}]) {
          assert.throws(() => (ctx.session = wrong as never), TypeError)
        }
        assert.throws(() => (ctx.session = { theme: 'dark', save: 1 }), { code: 'ERR_SESSION_RESERVED_KEY' })
      },
    })
    assert.equal((await browser.get('/set')).status, 200)
    assert.deepEqual(await data(browser), { user: 'alice' })
  })
})

describe('skip', () => {
  it('leaves ctx.session undefined, refuses to set it, and touches neither store nor cookie', async (test) => {
    const { browser, sessions } = await site(
      test,
      {},
      {
        skip: (ctx) => {
          if (ctx.path !== '/asset') return false
          assert.equal(ctx.session, undefined)
          assert.throws(() => (ctx.session = {}), { code: 'ERR_SESSION_NO_CONTEXT' })
          return true
        },
      },
    )
    const { loads, hits } = sessions.stats()
    const { cookies, headers } = await browser.get('/asset')
    assert.deepEqual([cookies, headers.vary], [[], undefined])
    assert.deepEqual([sessions.stats().loads, sessions.stats().hits], [loads, hits])
  })
})

describe('a response that Koa does not send (ctx.respond = false)', () => {
  const send = (ctx: Koa.Context): void => {
    ctx.respond = false
    ctx.res.writeHead(200)
    ctx.res.end('by hand')
  }

  it('carries the cookie of a new session after save()', async (test) => {
    const { agent } = await site(test, {
      '/raw': async (ctx, session) => {
        session['user'] = 'carol'
        await session.save()
        send(ctx)
      },
    })
    const browser = agent()
    assert.equal((await browser.get('/raw')).cookies.length, 1)
    assert.deepEqual(await data(browser), { user: 'carol' })
  })

  it('carries the cookie of regenerate({ keep }), which leads to what was kept', async (test) => {
    const { browser } = await site(test, {
      '/raw': async (ctx, session) => {
        await session.regenerate({ keep: ['user'] as never })
        send(ctx)
      },
    })
    assert.equal((await browser.get('/raw')).cookies.length, 1)
    assert.deepEqual(await data(browser), { user: 'alice' })
  })

  it('without save() still commits a session that there was, and says so', async (test) => {
    const heard = reports(test, 'error')
    const { browser } = await site(test, {
      '/raw': (ctx, session) => {
        session['late'] = 1
        send(ctx)
      },
    })
    assert.equal((await browser.get('/raw')).status, 200)
    await until(() => heard.length > 0)
    assert.deepEqual(await data(browser), { user: 'alice', late: 1 })
    assert.deepEqual(
      heard.map(({ reason }) => reason),
      ['committed after the headers'],
    )
  })

  it('without save() loses a new session, says so, and leaves no record', async (test) => {
    const heard = reports(test, 'error')
    const { agent, store } = await site(test, {
      '/raw': (ctx, session) => {
        session['late'] = 1
        send(ctx)
      },
    })
    assert.deepEqual((await agent().get('/raw')).cookies, [])
    await until(() => heard.length > 0)
    assert.deepEqual(
      heard.map(({ error }) => (error as { code: string }).code),
      ['ERR_SESSION_HEADERS_SENT'],
    )
    assert.equal((await keysOf(store)).length, 1, "alice's")
  })
})

describe('once the headers have left', () => {
  it('a new session cannot be made: assignment, save, update and regenerate say ERR_SESSION_HEADERS_SENT', async (test) => {
    const codes: Record<string, unknown> = {}
    const codeOf = (error: { code: string }): string => error.code
    const { agent, store } = await site(test, {
      '/stream': async (ctx, session) => {
        session['early'] = 1
        ctx.status = 200
        ctx.flushHeaders()
        assert.throws(() => (session['late'] = 1), { code: 'ERR_SESSION_HEADERS_SENT' })
        codes['save'] = await session.save().catch(codeOf)
        codes['update'] = await session.update(() => 1).catch(codeOf)
        codes['regenerate'] = await session.regenerate().catch(codeOf)
        ctx.body = 'x'
      },
    })
    await agent().get('/stream')
    assert.deepEqual(codes, {
      save: 'ERR_SESSION_HEADERS_SENT',
      update: 'ERR_SESSION_HEADERS_SENT',
      regenerate: 'ERR_SESSION_HEADERS_SENT',
    })
    assert.equal((await keysOf(store)).length, 1, "alice's")
  })

  it('an old session is read-only but for update() and destroy(): server-sent events', async (test) => {
    const { browser } = await site(test, {
      '/events': async (ctx, session) => {
        const events = new PassThrough()
        ctx.type = 'text/event-stream'
        ctx.status = 200
        ctx.body = events
        ctx.flushHeaders()
        const send = async (): Promise<void> => {
          assert.equal(currentSession()['user'], 'alice')
          assert.throws(() => (currentSession()['user'] = 'bob'), { code: 'ERR_SESSION_COMMITTED', message: /update/ })
          events.write(`data: ${await session.update((fresh) => (fresh['seen'] = Number(fresh['seen'] ?? 0) + 1))}\n\n`)
          events.end('data: done\n\n')
        }
        // A failure ends the response too: nobody would wait for its end for ever.
        setTimeout(() => send().catch((error: Error) => events.destroy(error)), 5)
      },
    })
    assert.equal((await browser.get('/events')).text, 'data: 1\n\ndata: done\n\n')
    assert.equal((await browser.get('/events')).text, 'data: 2\n\ndata: done\n\n')
    assert.deepEqual(await data(browser), { user: 'alice', seen: 2 })
  })

  it('update() works after the response, and reads what others wrote', async (test) => {
    let done: (value: unknown) => void = () => {}
    const result = new Promise((resolve) => (done = resolve))
    const { browser } = await site(test, {
      '/job': (ctx, session) => {
        const job = async (): Promise<unknown> => {
          await browser.get('/write')
          return session.update((fresh) => {
            fresh['job'] = 'done'
            return { ...fresh }
          })
        }
        // Handed on as the promise that it is, so that its failure ends the test.
        ctx.res.once('finish', () => done(job()))
      },
      '/write': (_, session) => (session['other'] = 1),
    })
    await browser.get('/job')
    assert.deepEqual(await result, { user: 'alice', other: 1, job: 'done' })
    assert.deepEqual(await data(browser), { user: 'alice', other: 1, job: 'done' })
  })
})

describe('failures', () => {
  it('ctx.status = 500 without a throw commits', async (test) => {
    const { browser } = await site(test, {
      '/sorry': (ctx, session) => {
        session['tries'] = 1
        ctx.status = 500
        ctx.body = 'sorry'
      },
    })
    assert.equal((await browser.get('/sorry')).status, 500)
    assert.deepEqual(await data(browser), { user: 'alice', tries: 1 })
  })

  it('a thrown error of the file system is no answer of 404 or a commit', async (test) => {
    const { browser } = await site(test, {
      '/file': (_, session) => {
        session['tries'] = 1
        throw Object.assign(new Error('no such file'), { code: 'ENOENT' })
      },
    })
    assert.equal((await browser.get('/file')).status, 500)
    assert.deepEqual(await data(browser), { user: 'alice' })
  })

  it('what a failed request dropped is not brought back by a later update of it', async (test) => {
    let later: Promise<unknown> | undefined
    const { browser } = await site(test, {
      '/fail': (ctx, session) => {
        session['dropped'] = 1
        ctx.res.once('finish', () => (later = session.update((fresh) => (fresh['counted'] = 1))))
        throw new Error('as it happens')
      },
    })
    await browser.get('/fail')
    await later
    assert.deepEqual(await data(browser), { user: 'alice', counted: 1 })
  })

  it('a request whose visitor has gone away commits like any other', async (test) => {
    let arrive: () => void = () => {}
    const arrived = new Promise<void>((resolve) => (arrive = resolve))
    const { browser, app, port } = await site(test, {
      '/slow': async (ctx, session) => {
        const closed = once(ctx.res, 'close')
        arrive()
        await closed
        session['aborted'] = true
      },
    })
    app.silent = true
    const asked = request({ host: '127.0.0.1', port, path: '/slow', headers: { cookie: browser.cookieHeader } })
    asked.on('error', () => {})
    asked.end()
    await arrived
    asked.destroy()
    await until(async () => 'aborted' in ((await data(browser)) as object))
    assert.deepEqual(await data(browser), { user: 'alice', aborted: true })
  })

  it('HEAD, 204 and 304 carry the cookie', async (test) => {
    const { agent } = await site(test, {
      '/204': (ctx, session) => {
        session['n'] = 1
        ctx.status = 204
      },
      '/304': (ctx, session) => {
        session['n'] = 1
        ctx.status = 304
      },
      '/head': (_, session) => (session['n'] = 1),
    })
    for (const path of ['/204', '/304', '/head'])
      assert.equal((await agent().get(path, { method: path === '/head' ? 'HEAD' : 'GET' })).cookies.length, 1, path)
  })

  it('an upgrade that a handler does not take is no failure', async (test) => {
    const { port, browser } = await site(test, {})
    const asked = request({
      host: '127.0.0.1',
      port,
      path: '/',
      headers: { cookie: browser.cookieHeader, connection: 'Upgrade', upgrade: 'x' },
    })
    asked.end()
    const [response] = (await once(asked, 'response')) as [IncomingMessage]
    response.resume()
    assert.equal(response.statusCode, 200)
  })
})

describe('keys', () => {
  it('without any, the first request fails with what to do', async (test) => {
    const app = new Koa()
    const errors: Error[] = []
    app.on('error', (error) => errors.push(error))
    app.use(session({ store: 'memory:' }))
    app.use((ctx) => (ctx.body = 'x'))
    const { agent } = await serve(test, app)
    assert.equal((await agent().get('/')).status, 500)
    assert.equal((errors[0] as Error & { code: string }).code, 'ERR_SESSION_OPTION')
    assert.match(errors[0]?.message ?? '', /keys.*app\.keys.*koa-server-session secret/s)
  })

  it('those of the application are used if there is no option', async (test) => {
    const app = new Koa()
    app.keys = [KEY]
    app.use(session({ store: 'memory:' }))
    app.use((ctx) => {
      sessionOf(ctx)['n'] = Number(sessionOf(ctx)['n'] ?? 0) + 1
      ctx.body = `${sessionOf(ctx)['n']}`
    })
    const { agent } = await serve(test, app)
    const browser = agent()
    await browser.get('/')
    assert.equal((await browser.get('/')).text, '2')
  })
})

describe('destroy()', () => {
  it('leaves an ended session: reads are undefined, and a new one may be begun', async (test) => {
    const { browser, store } = await site(test, {
      '/out': async (ctx, session) => {
        await session.destroy()
        assert.equal(session['user'], undefined)
        assert.deepEqual(Object.keys(session), [])
        assert.equal('user' in session, false)
        await session.destroy()
        assert.equal(ctx.session, session)
        ctx.session = { user: 'carol' }
      },
    })
    const old = browser.cookieHeader
    const { cookies } = await browser.get('/out')
    assert.equal(cookies.length, 1)
    assert.notEqual(browser.cookieHeader, old)
    assert.deepEqual(await data(browser), { user: 'carol' })
    assert.equal((await keysOf(store)).length, 1)
  })

  it('reload() and update() of a session that was ended elsewhere reject with ERR_SESSION_GONE', async (test) => {
    const { browser } = await site(test, {
      '/slow': async (ctx, session) => {
        await browser.get('/out')
        await assert.rejects(
          async () => (ctx.query['reload'] ? session.reload() : session.update((fresh) => (fresh['n'] = 1))),
          {
            code: 'ERR_SESSION_GONE',
            status: 409,
          },
        )
        assert.equal(session['user'], undefined)
      },
      '/out': (_, session) => session.destroy(),
    })
    for (const query of ['', '?reload=1']) {
      await browser.get('/in')
      const cookie = browser.cookieHeader
      const reply = await browser.get(`/slow${query}`, { cookie })
      assert.deepEqual([reply.status, reply.cookies], [200, []])
    }
  })
})

describe('a session that is ended elsewhere after the request has set its cookie', () => {
  const members: Record<string, (session: AnySession) => Promise<unknown>> = {
    'save()': (session) => session.save(),
    'update()': (session) => session.update((newest) => (newest['n'] = 3)),
    'reload()': (session) => session.reload(),
    'regenerate()': (session) => session.regenerate(),
    'regenerate({ keep: true })': (session) => session.regenerate({ keep: true }),
    'prove()': (session) => session.prove('password'),
    'identify() with a limit': async (session) => session.identify('ada', { max: 1 }),
  }
  for (const [name, call] of Object.entries(members)) {
    it(`takes the cookie back, if ${name} learns of the end and the handler answers all the same`, async (test) => {
      const { agent, sessions } = await siteWith(test, {}, async (ctx) => {
        const session = sessionOf(ctx)
        session['n'] = 1
        await session.save()
        await sessions.revoke(session.id)
        session['n'] = 2
        await assert.rejects(call(session), { code: 'ERR_SESSION_GONE' })
        ctx.body = 'done'
      })
      const { status, cookies } = await agent().get('/')
      assert.deepEqual([status, cookies], [200, []])
    })
  }
})

describe('code that calls back, as passport does', () => {
  it('signs in with regenerate(callback) and save(callback), merging what it held before', async (test) => {
    const { browser } = await site(test, {
      '/login': (ctx) =>
        new Promise<void>((resolve, reject) => {
          const previous = getSession() as AnySession
          getSession().regenerate((error) => {
            if (error) return reject(error)
            const fresh = sessionOf(ctx)
            for (const [key, value] of Object.entries(previous)) fresh[key] ??= value
            fresh['passport'] = { user: 7 }
            ctx.session.save((failure) => (failure ? reject(failure) : resolve()))
          })
        }),
      '/logout': (ctx) =>
        new Promise<void>((resolve, reject) => {
          delete sessionOf(ctx)['passport']
          ctx.session.save((error) => {
            if (error) return reject(error)
            sessionOf(ctx).regenerate((failure) => (failure ? reject(failure) : resolve()))
          })
        }),
    })
    const old = browser.cookieHeader
    await browser.get('/login')
    assert.notEqual(browser.cookieHeader, old)
    assert.deepEqual(await data(browser), { user: 'alice', passport: { user: 7 } })
    assert.equal((await browser.get('/', { cookie: old })).text, '{}')
    await browser.get('/logout')
    assert.deepEqual(await data(browser), {})
  })

  it('is told of a failure in its callback', async (test) => {
    const { browser } = await site(test, {
      '/slow': async (ctx, session) => {
        await browser.get('/out')
        ctx.body = await new Promise((resolve) =>
          session.regenerate((error) => resolve((error as { code: string }).code)),
        )
      },
      '/out': (_, session) => session.destroy(),
    })
    assert.equal((await browser.get('/slow')).text, 'ERR_SESSION_GONE')
  })
})

describe('flash', () => {
  it('is seen by the next request that uses the session, and then gone', async (test) => {
    const { browser } = await site(test, {
      '/set': (ctx, session) => {
        session.flash('note', { text: 'saved' })
        ctx.body = [session.flash('note') ?? null, Object.keys(session)]
      },
      '/unused': (ctx) => (ctx.body = 'x'),
      '/get': (ctx, session) => (ctx.body = [session.flash('note') ?? null, Object.keys(session)]),
    })
    assert.equal((await browser.get('/set')).text, '[null,["user"]]')
    assert.equal((await browser.get('/get')).text, '[{"text":"saved"},["user"]]')
    assert.equal((await browser.get('/get')).text, '[null,["user"]]')
  })
})

describe('nothing is stored for nothing', () => {
  it('reading, {}, and keys set and deleted make no record; flash, remember and regenerate do', async (test) => {
    const { agent, store } = await site(test, {
      '/read': (_, session) => [session['a'], { ...session }, session.id],
      '/empty': (ctx) => (ctx.session = {}),
      '/undone': (_, session) => {
        session['a'] = 1
        delete session['a']
      },
      '/reload': (_, session) => session.reload(),
      '/save': (_, session) => session.save(),
      '/flash': (_, session) => session.flash('note', 1),
      '/remember': (_, session) => session.remember({}),
      '/regenerate': (_, session) => session.regenerate(),
    })
    for (const path of ['/read', '/empty', '/undone', '/reload', '/save'])
      assert.deepEqual((await agent().get(path)).cookies, [], path)
    assert.equal((await keysOf(store)).length, 1, "alice's")
    for (const path of ['/flash', '/remember', '/regenerate'])
      assert.equal((await agent().get(path)).cookies.length, 1, path)
    assert.equal((await keysOf(store)).length, 4)
  })
})

describe('tryGetSessionId()', () => {
  it('is the id of the session that came, also before, between and after its use; no use by itself', async (test) => {
    const ids: unknown[] = []
    const { agent } = await siteWith(test, {}, async (ctx) => {
      ctx.res.once('finish', () => ids.push(tryGetSessionId()))
      ids.push(tryGetSessionId())
      if (ctx.path === '/in') sessionOf(ctx)['user'] = 'alice'
      if (ctx.path === '/out') await getSession().destroy()
      ids.push(tryGetSessionId())
      if (ctx.path !== '/plain') ids.push(ctx.session.id)
      ctx.body = ''
    })
    const browser = agent()
    await browser.get('/in')
    const [before, id] = ids
    assert.equal(before, undefined)
    assert.deepEqual(ids.splice(0), [undefined, id, id, id])
    const { headers } = await browser.get('/plain')
    assert.deepEqual([ids.splice(0), headers['vary']], [[id, id, id], undefined])
    await browser.get('/out')
    assert.deepEqual(ids, [id, id, id, id])
  })

  it('is that of the new session after regenerate()', async (test) => {
    const { agent } = await siteWith(test, {}, async (ctx) => {
      sessionOf(ctx)['user'] = 'alice'
      await getSession().regenerate()
      ctx.body = String(tryGetSessionId() === ctx.session.id)
    })
    assert.equal((await agent().get('/')).text, 'true')
  })

  it('makes none for a stranger, and is undefined where there is no session', async (test) => {
    const { agent } = await siteWith(test, { skip: (ctx) => ctx.path === '/skip' }, (ctx) => {
      ctx.body = String(tryGetSessionId())
    })
    for (const path of ['/', '/skip']) {
      const { text, cookies, headers } = await agent().get(path)
      assert.deepEqual([text, cookies, headers['vary']], ['undefined', [], undefined])
    }
    assert.equal(tryGetSessionId(), undefined)
  })

  it('does not throw while the store is down, where getSession() does', async (test) => {
    const store = recordingStore()
    const { agent } = await siteWith(test, { store, cache: false }, (ctx) => {
      if (ctx.path === '/in') sessionOf(ctx)['user'] = 'alice'
      else assert.throws(() => getSession(), { code: 'ERR_SESSION_STORE_UNAVAILABLE' })
      ctx.body = String(tryGetSessionId())
    })
    const browser = agent()
    await browser.get('/in')
    store.fail('load', new Error('down'))
    assert.equal((await browser.get('/')).text, 'undefined')
  })
})
