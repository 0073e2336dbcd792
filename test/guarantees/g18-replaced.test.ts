import assert from 'node:assert/strict'
import { request } from 'node:http'
import { describe, it, type TestContext } from 'node:test'
import { memoryStore, type SessionOptions, type Store } from '../../src/index.ts'
import { inTheEnd } from '../support/in-the-end.ts'
import { startProcesses } from '../support/processes/site-processes.ts'
import { patientRedis } from '../support/processes/deployments.ts'
import { Agent, sessionOf, siteWith, type Reply } from '../support/sites/http.ts'
import { STORE_KINDS } from '../support/stores/kinds.ts'
import { recordingStore } from '../support/stores/recording-store.ts'
import { keysOf } from '../support/stores/stores.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

/** Where a request stands still, until a test lets it go on. */
interface Gate {
  readonly arrived: Step
  readonly opened: Step
}

/** Something that happens once. */
class Step {
  readonly happened: Promise<void>
  happen!: () => void

  constructor() {
    this.happened = new Promise((resolve) => (this.happen = resolve))
  }
}

/**
 * A shop on two nodes. `?at=` stops a request with its session loaded, before it does anything; `?after=` after a
 * regenerate or a write, before its answer.
 */
async function shop(test: TestContext, open: () => Store = onMemory(), options: SessionOptions = {}) {
  const gates = new Map<string, Gate>()
  const gateOf = (name: string): Gate => {
    const gate = gates.get(name) ?? { arrived: new Step(), opened: new Step() }
    gates.set(name, gate)
    return gate
  }
  const pass = async (name: string | undefined): Promise<void> => {
    if (name === undefined) return
    gateOf(name).arrived.happen()
    await gateOf(name).opened.happened
  }
  async function node() {
    const store = open()
    const site = await siteWith(test, { ...options, store }, async (ctx) => {
      const { at, after, user = 'ada', keep = 'cart', more, then } = ctx.query as Record<string, string>
      const session = sessionOf(ctx)
      void session['cart']
      await pass(at)
      if (ctx.path === '/cart') session['cart'] = ['tea']
      if (ctx.path === '/poll') session['polls'] = Number(session['polls'] ?? 0) + 1
      if (ctx.path === '/identify') session.identify(user)
      if (ctx.path === '/sign-in') {
        await session.regenerate({ keep: keep === 'true' ? true : keep.split(',') })
        if (user) sessionOf(ctx)['user'] = user
        if (more) sessionOf(ctx)['cart'] = ['tea', more]
      }
      if (ctx.path === '/null') ctx.session = null
      if (ctx.path === '/sign-out') await session.destroy()
      if (ctx.path === '/revoke-all') await site.sessions.revokeAll(user)
      await pass(after)
      if (then === 'fail') throw new Error('a fault of the handler')
      ctx.body = ctx.path === '/null' ? '' : { ...ctx.session }
    })
    return { ...site, store }
  }
  const nodes = [await node(), await node()] as const
  /** A visitor with something in the cart. */
  async function visitor(): Promise<Agent> {
    const agent = nodes[0].agent()
    await agent.get('/cart')
    return agent
  }
  /** The same browser's requests, at the other node. */
  const elsewhere = (agent: Agent): Agent => agent.at(nodes[1].port)
  return {
    nodes,
    visitor,
    elsewhere,
    store: nodes[0].store,
    arrived: (name: string) => gateOf(name).arrived.happened,
    open: (name: string) => gateOf(name).opened.happen(),
  }
}

function onMemory(): () => Store {
  const store = memoryStore({ pruneInterval: 0 })
  return () => store
}

/** What the visitor gets to see with the cookies of now. */
async function page(agent: Agent): Promise<unknown> {
  return (await agent.get('/')).json()
}

/** A click whose answer the browser throws away, because another click follows. */
async function droppedClick(port: number, path: string, cookie: string, sent: Promise<void>): Promise<void> {
  const click = request({ host: '127.0.0.1', port, path, method: 'POST', headers: { cookie } })
  click.on('error', () => {})
  click.end()
  await sent
  click.destroy()
}

const SIGNED_IN = { cart: ['tea'], user: 'ada' }

describe('G18: a double click on "Sign in"', () => {
  for (const [kind, start] of Object.entries(STORE_KINDS)) {
    it(`signs in, keeps the cart, and leaves one session, on ${kind}`, async (test) => {
      const { open } = await start(test)
      const { nodes, visitor, store, arrived, open: let_ } = await shop(test, open)
      const ada = await visitor()
      const cookie = ada.cookieHeader
      await droppedClick(nodes[0].port, '/sign-in?at=first', cookie, arrived('first'))
      const second = ada.get('/sign-in?at=second', { method: 'POST' })
      await arrived('second')
      let_('first')
      // The first one is through, though nobody gets its answer.
      while ((await ada.get('/', { cookie })).text !== '{}');
      let_('second')
      assert.equal((await second).status, 200)
      assert.deepEqual(await page(ada), SIGNED_IN)
      if (store.keys) assert.equal((await keysOf(store)).length, 1)
    })

    it(`the same if the second click comes after the first is through, at another node, on ${kind}`, async (test) => {
      const { open } = await start(test)
      const { nodes, visitor, elsewhere, store } = await shop(test, open)
      const ada = await visitor()
      const cookie = ada.cookieHeader
      await nodes[0].agent().get('/sign-in', { method: 'POST', cookie })
      for (const click of ['second', 'third']) {
        const { status, cookies } = await elsewhere(ada).get('/sign-in', { method: 'POST', cookie })
        assert.deepEqual([status, cookies.length], [200, 1], click)
      }
      assert.deepEqual(await page(ada), SIGNED_IN)
      if (store.keys) assert.equal((await keysOf(store)).length, 1)
    })
  }

  it('the same in two processes, on files and on Redis', async (test) => {
    const url = await patientRedis(test)
    for (const store of [`file:${temporaryDirectory()}`, url]) {
      const [here = 0, there = 0] = await startProcesses(test, 2, { store })
      const ada = new Agent(here)
      await ada.get('/write?key=cart&value=tea')
      const cookie = ada.cookieHeader
      const second = ada.at(there).get('/login?gate=second&user=ada&keep=cart', { cookie })
      await ada.at(there).get('/arrived?gate=second', { cookie: '' })
      const first = new Agent(here)
      assert.equal((await first.get('/login?user=ada&keep=cart', { cookie })).status, 200)
      await ada.at(there).get('/open?gate=second', { cookie: '' })
      assert.equal((await second).status, 200)
      const data = async (agent: Agent): Promise<unknown> => (await agent.get('/read')).json()['result']
      await inTheEnd(() => data(ada), { cart: 'tea', user: 'ada' }, store)
      await inTheEnd(() => data(first), {}, store)
    }
  })

  it('the same with keep: true, with encryption and without a cache', async (test) => {
    for (const options of [{ encrypt: true }, { cache: false as const }, {}]) {
      const { nodes, visitor, elsewhere } = await shop(test, onMemory(), options)
      const ada = await visitor()
      const cookie = ada.cookieHeader
      await nodes[0].agent().get('/sign-in?keep=true', { cookie })
      await elsewhere(ada).get('/sign-in?keep=true', { cookie })
      assert.deepEqual(await page(ada), SIGNED_IN)
    }
  })

  it('ends at the later of the two, whichever is answered first', async (test) => {
    const { visitor, store, arrived, open } = await shop(test)
    const ada = await visitor()
    const cookie = ada.cookieHeader
    const first = ada.get('/sign-in?after=first', { cookie })
    await arrived('first')
    await ada.get('/sign-in', { cookie })
    open('first')
    // What it wrote came too late, so its cookie does not leave.
    assert.deepEqual((await first).cookies, [])
    assert.deepEqual(await page(ada), SIGNED_IN)
    assert.equal((await keysOf(store)).length, 1)
  })
})

describe('G18: a double click on "Sign in", if the session that is signed in keeps nothing', () => {
  // Then the marker comes before the record, and a second click may follow it to a session that is still to be made.
  const SIGN_IN = '/sign-in?keep=none'
  const ADA = { user: 'ada' }

  it('leaves one session, whether the second click came before the first one or after its marker', async (test) => {
    for (const cameBefore of [true, false]) {
      const { visitor, elsewhere, store, arrived, open } = await shop(test)
      const ada = await visitor()
      const cookie = ada.cookieHeader
      const early = cameBefore ? elsewhere(ada).get(`${SIGN_IN}&at=second`, { cookie }) : undefined
      if (early) await arrived('second')
      const first = new Agent(ada.port).get(`${SIGN_IN}&after=first`, { cookie })
      await arrived('first')
      open('second')
      const second = await (early ?? elsewhere(ada).get(SIGN_IN, { cookie }))
      assert.deepEqual([second.status, second.cookies.length], [200, 1])
      open('first')
      assert.deepEqual([(await first).status, (await first).cookies], [200, []], 'its place was taken')
      assert.deepEqual(await page(ada), ADA)
      assert.equal((await keysOf(store)).length, 1)
    }
  })

  it('the same if the first one was stored, or its visitor went away before that', async (test) => {
    for (const isDropped of [false, true]) {
      const { nodes, visitor, elsewhere, store, arrived, open } = await shop(test)
      const ada = await visitor()
      const cookie = ada.cookieHeader
      const second = elsewhere(ada).get(`${SIGN_IN}&at=second`, { cookie })
      await arrived('second')
      if (isDropped) await droppedClick(nodes[0].port, `${SIGN_IN}&after=first`, cookie, arrived('first'))
      else await new Agent(ada.port).get(SIGN_IN, { cookie })
      open('second')
      assert.equal((await second).status, 200)
      open('first')
      assert.deepEqual(await page(ada), ADA)
      assert.equal((await keysOf(store)).length, 1)
    }
  })

  it('is a sign-in of its own once the first session is held', async (test) => {
    const { visitor, store, arrived, open } = await shop(test)
    const ada = await visitor()
    const cookie = ada.cookieHeader
    const late = new Agent(ada.port)
    const second = late.get(`${SIGN_IN}&at=second`, { cookie })
    await arrived('second')
    await ada.get(SIGN_IN)
    assert.deepEqual(await page(ada), ADA)
    open('second')
    assert.equal((await second).status, 200)
    assert.deepEqual([await page(ada), await page(late)], [ADA, ADA])
    assert.equal((await keysOf(store)).length, 2)
  })

  it('carries nothing on, where the first one has kept nothing and is still to be made', async (test) => {
    for (const keep of ['cart', 'true']) {
      const { visitor, elsewhere, store, arrived, open } = await shop(test)
      const ada = await visitor()
      const cookie = ada.cookieHeader
      const second = elsewhere(ada).get(`/sign-in?at=second&keep=${keep}`, { cookie })
      await arrived('second')
      const first = ada.get(`${SIGN_IN}&after=first`)
      await arrived('first')
      open('second')
      assert.deepEqual([(await second).status, (await second).cookies], [409, []])
      open('first')
      await first
      assert.deepEqual(await page(ada), ADA)
      assert.equal((await keysOf(store)).length, 1)
    }
  })

  for (const keep of ['none', 'cart', 'true']) {
    it(`leads nowhere once its session was ended with a reason, which stays known (keep: ${keep})`, async (test) => {
      for (const clicks of [1, 2]) {
        const { visitor, elsewhere, nodes, store, arrived, open } = await shop(test)
        const ada = await visitor()
        const cookie = ada.cookieHeader
        const another = elsewhere(new Agent(ada.port))
        const path = `/sign-in?keep=${keep}`
        const before = another.get(`${path}&at=late`, { cookie })
        await arrived('late')
        for (let click = 0; click < clicks; click++) await ada.get(SIGN_IN, { cookie })
        const [id = ''] = await keysOf(store)
        assert.equal(await nodes[1].sessions.revoke(id, { because: 'lost' }), true)
        const told = (await store.load(id))?.text ?? ''
        assert.match(told, /"endedBecause":"lost"/)
        open('late')
        assert.deepEqual([(await before).status, (await before).cookies], [409, []])
        assert.deepEqual((await another.get(path, { cookie })).json(), ADA, 'a sign-in of its own')
        assert.match(String((await another.get('/sign-out', { cookie })).cookies), /^sid=;/)
        assert.equal((await store.load(id))?.text, told)
        assert.deepEqual(await page(ada), {})
      }
    })
  }

  it('and then “Sign out”, with the id before it, signs nobody in', async (test) => {
    for (const cameBefore of [true, false]) {
      const { visitor, elsewhere, store, arrived, open } = await shop(test)
      const ada = await visitor()
      const cookie = ada.cookieHeader
      const early = cameBefore ? elsewhere(ada).get('/sign-out?at=out', { cookie }) : undefined
      if (early) await arrived('out')
      const first = new Agent(ada.port).get(`${SIGN_IN}&after=first`, { cookie })
      await arrived('first')
      open('out')
      assert.match(String((await (early ?? elsewhere(ada).get('/sign-out', { cookie }))).cookies), /^sid=;/)
      open('first')
      assert.deepEqual((await first).cookies, [])
      assert.deepEqual(await keysOf(store), [])
    }
  })

  it('and then “Sign out”, with the id before it, signs nobody in, also if the sign-in takes longer than a minute', async (test) => {
    test.mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const { visitor, elsewhere, store, arrived, open } = await shop(test)
    const ada = await visitor()
    const cookie = ada.cookieHeader
    const first = new Agent(ada.port).get(`${SIGN_IN}&after=first`, { cookie })
    await arrived('first')
    assert.match(String((await elsewhere(ada).get('/sign-out', { cookie })).cookies), /^sid=;/)
    test.mock.timers.tick(61_000)
    open('first')
    assert.deepEqual((await first).cookies, [])
    assert.deepEqual(await keysOf(store), [])
  })

  it('and then “Sign out everywhere” lets nothing be carried on by the id before it', async (test) => {
    const { visitor, store, arrived, open } = await shop(test)
    const ada = await visitor()
    await ada.get('/identify')
    const cookie = ada.cookieHeader
    const late = new Agent(ada.port).get('/sign-in?at=late&keep=true', { cookie })
    await arrived('late')
    const first = ada.get(`${SIGN_IN}&after=first`)
    await arrived('first')
    await ada.get('/revoke-all', { cookie: '' })
    open('first')
    await first
    open('late')
    assert.equal((await late).status, 409)
    assert.deepEqual(await page(ada), ADA, 'who has signed in since')
    assert.equal((await keysOf(store)).length, 1)
  })

  it('gives nothing of what was written after it to anyone who knows the id before it', async (test) => {
    const { visitor } = await shop(test)
    const ada = await visitor()
    const cookie = ada.cookieHeader
    await ada.get(SIGN_IN)
    const attacker = new Agent(ada.port)
    await attacker.get('/sign-in?user=&keep=cart,user', { cookie })
    assert.deepEqual(await page(attacker), {})
  })

  it('fails if the first one fails, but for its cookie, which leads to an empty session', async (test) => {
    const { visitor, elsewhere, store, arrived, open } = await shop(test)
    const ada = await visitor()
    const cookie = ada.cookieHeader
    const second = elsewhere(ada).get(`${SIGN_IN}&at=second`, { cookie })
    await arrived('second')
    const failed = await new Agent(ada.port).get(`${SIGN_IN}&then=fail`, { cookie })
    assert.deepEqual([failed.status, failed.cookies.length], [500, 1])
    open('second')
    await second
    assert.deepEqual(await page(ada), ADA)
    assert.equal((await keysOf(store)).length, 1)
  })
})

describe('G18: a request with an id that was replaced', () => {
  it('that is answered after the sign-in sets no cookie, and the sign-in stays', async (test) => {
    const { visitor, elsewhere, arrived, open } = await shop(test)
    const ada = await visitor()
    const poll = elsewhere(ada).get('/poll?at=poll')
    await arrived('poll')
    await ada.get('/sign-in')
    open('poll')
    assert.deepEqual((await poll).cookies, [])
    assert.deepEqual(await page(ada), SIGNED_IN)
  })

  it('that comes after the sign-in is a stranger’s, whose answer sets no cookie', async (test) => {
    const { visitor, elsewhere, nodes } = await shop(test)
    const ada = await visitor()
    const cookie = ada.cookieHeader
    await ada.get('/sign-in')
    for (const path of ['/poll', '/cart', '/identify']) {
      const { cookies, status } = await elsewhere(ada).get(path, { cookie })
      assert.deepEqual([status, cookies], [200, []], path)
    }
    assert.deepEqual(await page(ada), SIGNED_IN)
    assert.equal(nodes[1].sessions.stats().suspicious, 0)
  })

  it('is not kept from the page of the browser’s other cookie', async (test) => {
    const { visitor } = await shop(test)
    const ada = await visitor()
    const cookie = ada.cookieHeader
    await ada.get('/sign-in')
    assert.deepEqual((await ada.get('/', { cookie: `${cookie}; ${ada.cookieHeader}` })).json(), SIGNED_IN)
  })

  it('begins a session again once a minute has passed, whatever the store still has', async (test) => {
    test.mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const { visitor, store } = await shop(test)
    const ada = await visitor()
    const cookie = ada.cookieHeader
    const [old = ''] = await keysOf(store)
    await ada.get('/sign-in')
    await store.touch(old, Date.now() + 3_600_000) // by a request that was under way
    test.mock.timers.tick(59_000)
    assert.equal((await ada.get('/poll', { cookie })).cookies.length, 0)
    test.mock.timers.tick(1000)
    assert.ok(await store.load(old))
    assert.equal((await ada.get('/poll', { cookie })).cookies.length, 1)
  })
})

describe('G18: a session that its visitor holds', () => {
  it('is left alone by a second sign-in with the id before it, which succeeds all the same', async (test) => {
    const { visitor, elsewhere, arrived, open, store } = await shop(test)
    const ada = await visitor()
    const cookie = ada.cookieHeader
    const late = elsewhere(new Agent(ada.port)).get('/sign-in?at=late', { cookie })
    await arrived('late')
    await ada.get('/sign-in')
    assert.deepEqual(await page(ada), SIGNED_IN)
    const attacker = new Agent(ada.port)
    const { status, cookies } = await attacker.get('/sign-in?user=eve', { cookie })
    assert.deepEqual([status, cookies.length], [200, 1])
    assert.deepEqual(await page(attacker), { user: 'eve' }, 'nothing of the cart')
    open('late')
    assert.equal((await late).status, 200)
    assert.deepEqual(await page(ada), SIGNED_IN)
    assert.equal((await keysOf(store)).length, 3)
  })

  it('gives nothing that was written after the sign-in to anyone who knows the id before it', async (test) => {
    for (const keep of ['cart,user', 'true']) {
      const { visitor } = await shop(test)
      const ada = await visitor()
      const cookie = ada.cookieHeader
      await ada.get(`/sign-in?keep=${keep}`) // its cookie has not come back
      const attacker = new Agent(ada.port)
      await attacker.get(`/sign-in?user=&keep=${keep}`, { cookie })
      assert.deepEqual(await page(attacker), { cart: ['tea'] }, 'what was there before')
    }
    const { visitor } = await shop(test)
    const ada = await visitor()
    const cookie = ada.cookieHeader
    await ada.get('/sign-in?more=milk')
    const attacker = new Agent(ada.port)
    await attacker.get('/sign-in?user=', { cookie })
    assert.deepEqual(await page(attacker), {})
  })

  it('gives nothing of an identified session to anyone who knows the id before it', async (test) => {
    const { visitor } = await shop(test)
    const ada = await visitor()
    await ada.get('/identify')
    const cookie = ada.cookieHeader
    await ada.get('/sign-in?keep=true')
    const attacker = new Agent(ada.port)
    await attacker.get('/sign-in?user=&keep=true', { cookie })
    assert.deepEqual(await page(attacker), {})
  })

  it('is not carried on a second time by keep: true', async (test) => {
    const { visitor, arrived, open } = await shop(test)
    const ada = await visitor()
    const cookie = ada.cookieHeader
    const late = new Agent(ada.port).get('/sign-in?at=late&keep=true', { cookie })
    await arrived('late')
    await ada.get('/sign-in?keep=true')
    await page(ada)
    open('late')
    const { status, cookies } = await late
    assert.deepEqual([status, cookies], [409, []])
    assert.deepEqual(await page(ada), SIGNED_IN)
  })

  it('is held from the first request on, though that one is still at work', async (test) => {
    const { visitor, elsewhere, arrived, open } = await shop(test)
    const ada = await visitor()
    const cookie = ada.cookieHeader
    await ada.get('/sign-in')
    const first = elsewhere(ada).get('/poll?at=first')
    await arrived('first')
    await new Agent(ada.port).get('/sign-in?user=eve', { cookie })
    open('first')
    assert.deepEqual((await first).json(), { ...SIGNED_IN, polls: 1 })
    assert.deepEqual(await page(ada), { ...SIGNED_IN, polls: 1 })
  })
})

describe('G18: a sign-out', () => {
  async function signedIn(test: TestContext) {
    const made = await shop(test)
    const ada = await made.visitor()
    const cookie = ada.cookieHeader
    return { ...made, ada, cookie }
  }

  for (const path of ['/sign-out', '/null']) {
    it(`with the replaced id ends the session that nobody holds yet: ${path}`, async (test) => {
      const { ada, cookie, store } = await signedIn(test)
      await ada.get('/sign-in')
      const { cookies } = await new Agent(ada.port).get(path, { cookie })
      assert.match(String(cookies), /^sid=;/)
      assert.deepEqual(await keysOf(store), [])
      assert.deepEqual(await page(ada), {})
      for await (const key of store.keys?.() ?? []) assert.fail(`something is left: ${key}`)
    })

    it(`with the replaced id does nothing to a session that is held: ${path}`, async (test) => {
      const { ada, cookie, arrived, open } = await signedIn(test)
      const late = new Agent(ada.port).get(`${path}?at=late`, { cookie })
      await arrived('late')
      await ada.get('/sign-in')
      await page(ada)
      assert.deepEqual((await new Agent(ada.port).get(path, { cookie })).cookies, [])
      open('late')
      assert.deepEqual((await late).cookies, [])
      assert.deepEqual(await page(ada), SIGNED_IN)
      assert.deepEqual((await ada.get('/poll', { cookie })).cookies, [], 'the id still counts as replaced')
    })
  }

  it('is final for a sign-in that is under way with the id before', async (test) => {
    const { ada, cookie, arrived, open, store } = await signedIn(test)
    const late = new Agent(ada.port).get('/sign-in?at=late', { cookie })
    await arrived('late')
    await ada.get('/sign-in')
    await ada.get('/sign-out')
    open('late')
    const { status, cookies } = await late
    assert.deepEqual([status, cookies], [409, []])
    assert.deepEqual(await keysOf(store), [])
  })

  it('of the old session before the sign-in leaves nothing to replace', async (test) => {
    const { ada, cookie, arrived, open, store } = await signedIn(test)
    const late = new Agent(ada.port).get('/sign-in?at=late', { cookie })
    await arrived('late')
    await ada.get('/sign-out')
    open('late')
    assert.equal((await late).status, 409)
    assert.deepEqual(await keysOf(store), [])
    assert.equal((await new Agent(ada.port).get('/cart', { cookie })).cookies.length, 1, 'a stranger like others')
  })

  it('everywhere is final for a sign-in under way that would carry the session on', async (test) => {
    const { ada, arrived, open, store } = await signedIn(test)
    await ada.get('/identify')
    const cookie = ada.cookieHeader
    const late = new Agent(ada.port).get('/sign-in?at=late&keep=true', { cookie })
    await arrived('late')
    await ada.get('/sign-in?keep=true')
    await ada.get('/revoke-all', { cookie: '' })
    open('late')
    assert.equal((await late).status, 409)
    assert.deepEqual(await keysOf(store), [])
    assert.deepEqual(
      (await new Agent(ada.port).get('/poll', { cookie })).cookies,
      [],
      'the id still counts as replaced',
    )
  })
})

describe('G18: races between two sign-ins', () => {
  /** The second sign-in stands at a step of the store, while `meanwhile` happens. */
  async function raced(
    test: TestContext,
    step: { method: 'load' | 'save'; nth: number; when: 'before' | 'after' },
    meanwhile: (made: Awaited<ReturnType<typeof shop>> & { ada: Agent; cookie: string }) => Promise<unknown>,
    keep = 'cart',
  ): Promise<{ second: Reply; agent: Agent; ada: Agent; store: Store }> {
    const recording = recordingStore()
    const made = await shop(test, () => recording, { cache: false })
    const ada = await made.visitor()
    const cookie = ada.cookieHeader
    const agent = new Agent(ada.port)
    const signingIn = agent.get(`/sign-in?at=second&keep=${keep}`, { cookie })
    await made.arrived('second')
    await ada.get(`/sign-in?keep=${keep}`)
    for (let nth = 1; nth < step.nth; nth++) recording.hold(step.method).release()
    const held = recording.hold(step.method, step.when)
    made.open('second')
    await held.arrived
    await meanwhile({ ...made, ada, cookie })
    held.release()
    return { second: await signingIn, agent, ada, store: recording.elsewhere }
  }

  // The second one makes its record, meets the marker, reads the first one's session, and leaves a marker there. If it
  // keeps nothing, it makes its record only after it has read the first one's session.
  const STEPS = [
    { method: 'save', nth: 1, when: 'after' },
    { method: 'save', nth: 2, when: 'after' },
    { method: 'load', nth: 1, when: 'after' },
    { method: 'save', nth: 3, when: 'before' },
  ] as const
  const KEEPS: [keep: string, data: object][] = [
    ['cart', SIGNED_IN],
    ['none', { user: 'ada' }],
  ]
  for (const step of STEPS) {
    for (const [keep, data] of KEEPS) {
      const at = `keep: ${keep}, ${step.method} ${step.nth}, ${step.when}`

      it(`the first one’s cookie comes back meanwhile: both are signed in, and none throws the other out (${at})`, async (test) => {
        const { second, agent, ada, store } = await raced(test, step, ({ ada }) => page(ada), keep)
        assert.equal(second.status, 200)
        assert.deepEqual([await page(ada), await page(agent)], [data, data])
        assert.equal((await keysOf(store)).length, 2)
      })

      it(`a third one is faster: one session is left (${at})`, async (test) => {
        const third = ({ nodes, cookie }: { nodes: readonly { agent: () => Agent }[]; cookie: string }) =>
          nodes[1]!.agent().get(`/sign-in?keep=${keep}`, { cookie })
        const { second, agent, store } = await raced(test, step, third, keep)
        assert.equal(second.status, 200)
        assert.deepEqual(await page(agent), data)
        assert.equal((await keysOf(store)).length, 1)
      })
    }
    const at = `${step.method} ${step.nth}, ${step.when}`

    it(`the first one is signed out meanwhile: nothing is carried on, and nobody is signed in (${at})`, async (test) => {
      const { second, store } = await raced(test, step, ({ ada }) => ada.get('/sign-out'))
      assert.deepEqual([second.status, second.cookies], [409, []])
      assert.deepEqual(await keysOf(store), [])
    })

    it(`the same if the second one keeps nothing: it is a sign-in of its own (${at})`, async (test) => {
      const { second, agent, ada, store } = await raced(test, step, ({ ada }) => ada.get('/sign-out'), 'none')
      assert.equal(second.status, 200)
      assert.deepEqual([await page(ada), await page(agent)], [{}, { user: 'ada' }])
      assert.equal((await keysOf(store)).length, 1)
    })
  }

  // It has made its record with what the first one had carried over, and then the first one's place is not to be had.
  const NOT_TO_BE_HAD: [what: string, path: string, left: object[]][] = [
    ['the first one’s cookie comes back', '/', [SIGNED_IN]],
    ['the first one is signed out', '/sign-out', []],
  ]
  for (const [what, path, left] of NOT_TO_BE_HAD) {
    it(`${what} while a stranger signs in with the replaced id: nothing is carried on`, async (test) => {
      for (const keep of ['cart', 'true']) {
        const recording = recordingStore()
        const { visitor } = await shop(test, () => recording, { cache: false })
        const ada = await visitor()
        const cookie = ada.cookieHeader
        await ada.get('/sign-in?keep=cart')
        const stranger = new Agent(ada.port)
        const held = recording.hold('save', 'after')
        const signingIn = stranger.get(`/sign-in?user=eve&keep=${keep}`, { cookie })
        await held.arrived
        await ada.get(path)
        held.release()
        assert.equal((await signingIn).status, 200)
        assert.deepEqual(await page(stranger), { user: 'eve' })
        assert.equal((await keysOf(recording.elsewhere)).length, left.length + 1)
        for (const data of left) assert.deepEqual(await page(ada), data)
      }
    })
  }

  it('a faster one keeps less while a stranger signs in with the replaced id: nothing else is carried on', async (test) => {
    const recording = recordingStore()
    const { visitor } = await shop(test, () => recording, { cache: false })
    const ada = await visitor()
    const cookie = ada.cookieHeader
    await ada.get('/sign-in?keep=cart')
    const stranger = new Agent(ada.port)
    const held = recording.hold('save', 'after')
    const signingIn = stranger.get('/sign-in?keep=cart', { cookie })
    await held.arrived
    await new Agent(ada.port).get('/sign-in?keep=none', { cookie })
    held.release()
    assert.equal((await signingIn).status, 200)
    assert.deepEqual(await page(stranger), { user: 'ada' })
    assert.equal((await keysOf(recording.elsewhere)).length, 1)
  })
})
