import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { SessionStats } from '../../src/index.ts'
import { inTheEnd } from '../support/in-the-end.ts'
import { Agent, currentSession, siteWith } from '../support/sites/http.ts'
import { DEPLOYMENTS } from '../support/processes/deployments.ts'
import { startProcesses } from '../support/processes/site-processes.ts'
import { startHere } from '../support/sites/test-site.ts'
import { until } from '../support/servers/server-process.ts'
import { recordingStore } from '../support/stores/recording-store.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

describe('G2: parallel requests that change the same key', () => {
  for (const [name, start] of Object.entries(DEPLOYMENTS)) {
    it(`leave the value of the last to commit: ${name}`, async (test) => {
      const ports = await start(test)
      const [here, there = here] = ports as [number, number?]
      const agent = new Agent(here)
      await agent.get('/write?key=theme&value=none')
      const early = agent.get('/write?gate=early&key=theme&value=early')
      await agent.get('/arrived?gate=early')
      const late = agent.at(there).get('/write?gate=late&key=theme&value=late')
      await agent.at(there).get('/arrived?gate=late')
      // The one that began first commits last.
      await agent.at(there).get('/open?gate=late')
      await late
      await agent.get('/open?gate=early')
      await early
      await inTheEnd(async () => (await agent.at(there).get('/read')).json()['result'], { theme: 'early' })
    })
  }
})

describe('G2: session.update', () => {
  it('makes 200 of 200 parallel increments, over four processes on files', async (test) => {
    const ports = await startProcesses(test, 4)
    const agent = new Agent(ports[0] as number)
    await agent.get('/write?key=first&value=1')
    const replies = await Promise.all(
      Array.from({ length: 200 }, (_, index) => agent.at(ports[index % 4] as number).get('/increment?key=count')),
    )
    const counts = replies.map((reply) => reply.json<{ result: number }>().result)
    assert.deepEqual(
      counts.toSorted((a, b) => a - b),
      Array.from({ length: 200 }, (_, index) => index + 1),
      'each was told another number',
    )
    assert.deepEqual((await agent.get('/read')).json()['result'], { first: '1', count: 200 })
  })

  it('runs on the newest state also when it changes nothing', async (test) => {
    const directory = temporaryDirectory()
    const [here, there] = [
      await startHere(test, { store: `file:${directory}` }),
      await startHere(test, { store: `file:${directory}` }),
    ]
    const { port } = await siteWith(test, { store: `file:${directory}` }, async (ctx) => {
      const agent = new Agent(there, new Map([['sid', ctx.cookies.get('sid') ?? '']]))
      await agent.get('/write?key=seat&value=taken')
      ctx.body = await currentSession().update((fresh) => fresh['seat'])
    })
    const agent = new Agent(here)
    await agent.get('/write?key=seat&value=free')
    assert.equal((await agent.at(port).get('/')).text, 'taken')
  })

  it('rejects with ERR_SESSION_GONE after a logout, also when it changes nothing', async (test) => {
    const directory = temporaryDirectory()
    const there = await startHere(test, { store: `file:${directory}` })
    const { port } = await siteWith(test, { store: `file:${directory}` }, async (ctx) => {
      await new Agent(there, new Map([['sid', ctx.cookies.get('sid') ?? '']])).get('/logout')
      ctx.body = await currentSession()
        .update((fresh) => fresh['seat'])
        .catch((error: { code: string }) => error.code)
    })
    const agent = new Agent(there)
    await agent.get('/write?key=seat&value=free')
    assert.equal((await agent.at(port).get('/')).text, 'ERR_SESSION_GONE')
  })
})

describe('G2: 200 parallel writers of one session in one process', () => {
  for (const path of ['/write?key=K&value=1', '/increment?key=count']) {
    it(`reach the store at most three times (${path.slice(1, 6)})`, async (test) => {
      const store = recordingStore()
      const port = await startHere(test, { store })
      const agent = new Agent(port)
      await agent.get('/write?key=first&value=1')
      const statsOf = async (): Promise<SessionStats> =>
        (await agent.get('/stats')).json<{ result: SessionStats }>().result
      const before = await statsOf()
      // All have read the session before any of them writes, and write while the first save is under way.
      const reads = ({ hits, loads }: SessionStats): number => hits + loads
      const writers = Array.from({ length: 200 }, (_, index) => agent.get(`${path.replace('K', `k${index}`)}&gate=all`))
      await until(async () => reads(await statsOf()) === reads(before) + 200)
      const first = store.hold('save')
      await agent.get('/open?gate=all')
      await until(async () => (await statsOf()).merges === before.merges + 199)
      first.release()
      await Promise.all(writers)
      const after = await statsOf()
      assert.ok(after.saves - before.saves <= 3, `${after.saves - before.saves} saves`)
      const { result } = (await agent.get('/read')).json<{ result: Record<string, unknown> }>()
      if (path.startsWith('/write')) assert.equal(Object.keys(result).length, 201)
      else assert.equal(result['count'], 200)
    })
  }
})
