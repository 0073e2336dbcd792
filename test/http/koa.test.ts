import assert from 'node:assert/strict'
import { Agent, request } from 'node:http'
import { once } from 'node:events'
import { describe, it, type TestContext } from 'node:test'
import Koa from 'koa'
import { session, tryGetSession } from '../../src/index.ts'
import { collectedUntil } from '../support/processes/garbage.ts'
import { KEY, serve, sessionOf } from '../support/sites/http.ts'

/** Asks over a connection of the agent's, and leaves the connection open. */
async function ask(agent: Agent, port: number): Promise<void> {
  const asked = request({ host: '127.0.0.1', port, agent })
  asked.end()
  const [response] = (await once(asked, 'response')) as [import('node:http').IncomingMessage]
  response.resume()
  await once(response, 'end')
}

function keptAlive(test: TestContext): Agent {
  const agent = new Agent({ keepAlive: true })
  test.after(() => agent.destroy())
  return agent
}

describe('an idle connection', () => {
  it('holds nothing of its last request', async (test) => {
    const app = new Koa()
    let [made, collected] = [0, 0]
    const registry = new FinalizationRegistry(() => collected++)
    const sessions = session({ keys: [KEY], store: 'memory:', cache: false })
    test.after(() => sessions.close())
    app.use(sessions)
    app.use((ctx) => {
      made++
      registry.register(ctx, undefined)
      sessionOf(ctx)['visits'] = 1
      ctx.body = 'x'
    })
    const { port, server } = await serve(test, app)
    server.keepAliveTimeout = 600_000
    const agents = Array.from({ length: 20 }, () => keptAlive(test))
    // The first request of an application is handled apart, and each second one comes over a connection that is known.
    for (let round = 0; round < 3; round++) await Promise.all(agents.map((agent) => ask(agent, port)))
    await collectedUntil(() => collected === made)
    assert.deepEqual([made, collected], [60, 60])
    assert.equal(
      agents.every((agent) => Object.values(agent.freeSockets).flat().length === 1),
      true,
      'the connections are open',
    )
  })

  it("keeps what Node does with it: a server's timeout and a handler's listener", async (test) => {
    const app = new Koa()
    const sessions = session({ keys: [KEY], store: 'memory:' })
    test.after(() => sessions.close())
    app.use(sessions)
    const isHeardInPlace = new Promise<boolean>((resolve) => {
      app.use((ctx) => {
        const { session } = ctx
        ctx.req.socket.setTimeout(1, () => resolve(tryGetSession() === session))
        ctx.respond = false
      })
    })
    const { port } = await serve(test, app)
    const asked = request({ host: '127.0.0.1', port, agent: false }).on('error', () => {})
    asked.end()
    assert.equal(await isHeardInPlace, true, 'the listener has the session of its request')
    asked.destroy()
  })
})

describe("the context of an application's first request", () => {
  it('may be copied afterwards without carrying its visitor along', async (test) => {
    const app = new Koa()
    const sessions = session({ keys: [KEY], store: 'memory:' })
    test.after(() => sessions.close())
    const contexts: Koa.Context[] = []
    app.use(async (ctx, next) => {
      await next()
      contexts.push(ctx)
    })
    app.use(sessions)
    app.use((ctx) => {
      sessionOf(ctx)['user'] = 'ada'
      ctx.body = 'x'
    })
    const { agent } = await serve(test, app)
    await agent().get('/')
    await new Promise<void>((resolve) => {
      setImmediate(() => {
        void { ...contexts[0] }
        void contexts[0]?.respond
        assert.equal(tryGetSession(), undefined)
        resolve()
      })
    })
  })
})
