import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { memoryStore } from '../../src/index.ts'
import { inTheEnd } from '../support/in-the-end.ts'
import { Agent, currentSession, KEY, OLD_KEY, sessionOf, siteWith } from '../support/sites/http.ts'
import { DEPLOYMENTS, deployedOnce } from '../support/processes/deployments.ts'
import { recordingStore } from '../support/stores/recording-store.ts'
import { keysOf } from '../support/stores/stores.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const TRIALS = 10

/** What a request does while the logout happens, once its session is loaded. */
const LATE_REQUESTS: Record<string, string> = {
  'a slow writer': '/write?key=late&value=1',
  'a slow reader': '/read?',
  'a slow update': '/increment?key=late',
  'a slow save': '/save?key=late&value=1',
}

for (const [place, start] of Object.entries(DEPLOYMENTS)) {
  describe(`G3: a logout is final, ${place}`, () => {
    const ports = deployedOnce(start)

    for (const [what, path] of Object.entries(LATE_REQUESTS)) {
      it(`against ${what}, ${TRIALS} times`, async () => {
        const [here, there = here] = ports() as [number, number?]
        await Promise.all(
          Array.from({ length: TRIALS }, async (_, trial) => {
            const agent = new Agent(here)
            await agent.get('/write?key=user&value=alice')
            const cookie = agent.cookieHeader
            const late = agent.get(`${path}&gate=${trial}`)
            await agent.get(`/arrived?gate=${trial}`)
            assert.equal((await agent.at(there).get('/logout')).status, 200)
            await agent.get(`/open?gate=${trial}`)
            assert.deepEqual((await late).cookies, [], 'the late response sets no cookie')
            for (const port of ports()) {
              const shown = async (): Promise<unknown> =>
                (await new Agent(port).get('/read', { cookie })).json()['result']
              await inTheEnd(shown, {}, 'nothing came back')
            }
          }),
        )
      })
    }

    it(`a regenerate kills the old id also for a slow writer, ${TRIALS} times`, async () => {
      const [here, there = here] = ports() as [number, number?]
      await Promise.all(
        Array.from({ length: TRIALS }, async (_, trial) => {
          const agent = new Agent(here)
          await agent.get('/write?key=guest&value=1')
          const cookie = agent.cookieHeader
          const late = new Agent(here).get(`/write?key=late&value=1&gate=${trial}`, { cookie })
          await agent.get(`/arrived?gate=${trial}`)
          await agent.at(there).get('/login?user=alice')
          await agent.get(`/open?gate=${trial}`)
          assert.deepEqual((await late).cookies, [])
          const byOldId = async (): Promise<unknown> =>
            (await new Agent(here).get('/read', { cookie })).json()['result']
          await inTheEnd(byOldId, {}, 'the old id is dead')
          assert.deepEqual((await agent.get('/read')).json()['result'], { user: 'alice' })
        }),
      )
    })

    it(`of a regenerate and a logout at once, ${TRIALS} times, no session survives that nobody asked for`, async () => {
      const [here, there = here] = ports() as [number, number?]
      await Promise.all(
        Array.from({ length: TRIALS }, async (_, trial) => {
          const agent = new Agent(here)
          await agent.get('/write?key=user&value=alice')
          const cookie = agent.cookieHeader
          const late = new Agent(here)
          const rotating = late.get(`/rotate?gate=${trial}`, { cookie })
          await agent.get(`/arrived?gate=${trial}`)
          await new Agent(there).get('/logout', { cookie })
          await agent.get(`/open?gate=${trial}`)
          const { status, cookies } = await rotating
          assert.equal(status, 409)
          assert.deepEqual(cookies, [])
          await inTheEnd(async () => (await agent.get('/read', { cookie })).json()['result'], {})
        }),
      )
    })
  })
}

describe('G3: destroy', () => {
  it('during the save that makes the record leaves none behind', async (test) => {
    const inner = memoryStore()
    const store = recordingStore({ over: inner })
    store.holdAll('save')
    const { port } = await siteWith(test, { store }, async (ctx) => {
      const session = sessionOf(ctx)
      session['user'] = 'alice'
      const saving = session.save()
      await store.stands('save')
      const destroying = session.destroy()
      store.mend()
      await destroying
      await saving.catch(() => {})
      ctx.body = await keysOf(inner)
    })
    const { text, cookies } = await new Agent(port).get('/')
    assert.equal(text, '[]')
    assert.ok(
      cookies.every((cookie) => cookie.startsWith('sid=;')),
      'no living cookie is sent',
    )
    assert.deepEqual(await keysOf(inner), [])
  })

  it('during the save of an old session leaves none behind', async (test) => {
    const inner = memoryStore()
    const store = recordingStore({ over: inner })
    const { port } = await siteWith(test, { store }, async (ctx) => {
      const session = sessionOf(ctx)
      if (ctx.path === '/') session['user'] = 'alice'
      else {
        session['user'] = 'bob'
        store.holdAll('save')
        const saving = session.save()
        await store.stands('save')
        const destroying = session.destroy()
        store.mend()
        await destroying
        await saving.catch(() => {})
      }
      ctx.body = 'done'
    })
    const agent = new Agent(port)
    await agent.get('/')
    assert.equal((await keysOf(inner)).length, 1)
    assert.equal((await agent.get('/out')).status, 200)
    assert.deepEqual(await keysOf(inner), [])
    assert.equal(agent.cookies.size, 0)
  })

  it('is followed by a touch that makes nothing', async (test) => {
    const inner = memoryStore()
    const store = recordingStore({ over: inner })
    const HOUR = 3_600_000
    test.mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const { port, sessions } = await siteWith(test, { store, cache: false, idleTimeout: HOUR }, async (ctx) => {
      if (ctx.path === '/in') sessionOf(ctx)['user'] = 'alice'
      if (ctx.path === '/out') await currentSession().destroy()
      ctx.body = { ...ctx.session }
    })
    const agent = new Agent(port)
    await agent.get('/in')
    const cookie = agent.cookieHeader
    test.mock.timers.tick(HOUR / 10) // so that a touch is due
    store.holdAll('touch')
    await agent.get('/')
    await store.stands('touch')
    await agent.get('/out')
    store.mend()
    assert.equal((await new Agent(port).get('/', { cookie })).text, '{}')
    await sessions.close()
    assert.deepEqual(await keysOf(inner), [])
  })

  it('is not undone by a load that was under way', async (test) => {
    const store = recordingStore()
    const { port } = await siteWith(test, { store, cache: { allowStale: true } }, async (ctx) => {
      if (ctx.path === '/in') sessionOf(ctx)['user'] = 'alice'
      if (ctx.path === '/out') await currentSession().destroy()
      ctx.body = { ...ctx.session }
    })
    const agent = new Agent(port)
    await agent.get('/in')
    const cookie = agent.cookieHeader
    const other = siteWith(test, { store, cache: { allowStale: true } }, async (ctx) => {
      ctx.body = { ...ctx.session }
    })
    const { port: elsewhere } = await other
    store.holdAll('load')
    const slow = new Agent(elsewhere).get('/', { cookie })
    await store.stands('load')
    await agent.get('/out')
    store.mend()
    assert.equal((await slow).text, '{}')
    assert.equal((await new Agent(port).get('/', { cookie })).text, '{}')
  })

  it('also stops a late response from signing the old cookie anew, or from keeping what it had set before', async (test) => {
    const store = `file:${temporaryDirectory()}`
    const old = await siteWith(test, { store, keys: [OLD_KEY] }, (ctx) => {
      sessionOf(ctx)['user'] = 'alice'
      ctx.body = ''
    })
    const out = await siteWith(test, { store, keys: [KEY, OLD_KEY] }, async (ctx) => {
      await ctx.session.destroy()
      ctx.body = ''
    })
    const { port } = await siteWith(test, { store, keys: [KEY, OLD_KEY] }, async (ctx) => {
      const session = sessionOf(ctx)
      if (ctx.path === '/save') {
        session['early'] = 1
        await session.save()
        session['late'] = 1
      }
      await new Agent(out.port).get('/', { cookie: ctx.get('cookie') })
      if (ctx.path === '/save-nothing') await session.save()
      ctx.body = ''
    })
    for (const path of ['/read', '/save', '/save-nothing']) {
      const agent = old.agent()
      await agent.get('/')
      assert.deepEqual((await agent.at(port).get(path)).cookies, [], path)
    }
  })
})
