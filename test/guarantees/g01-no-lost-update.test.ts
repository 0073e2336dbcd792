import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inTheEnd } from '../support/in-the-end.ts'
import { Agent } from '../support/sites/http.ts'
import { DEPLOYMENTS, deployedOnce } from '../support/processes/deployments.ts'
import { startProcesses } from '../support/processes/site-processes.ts'

const deployments: typeof DEPLOYMENTS = {
  ...DEPLOYMENTS,
  'four processes on files': (test) => startProcesses(test, 4),
}

for (const [name, start] of Object.entries(deployments)) {
  describe(`G1: parallel requests that change different keys of one session, ${name}`, () => {
    const ports = deployedOnce(start)

    it('lose nothing', async () => {
      const agent = new Agent(ports()[0] as number)
      await agent.get('/write?key=first&value=1')
      const writes = Array.from({ length: 50 }, (_, index) =>
        agent.at(ports()[index % ports().length] as number).get(`/write?key=k${index}&value=${index}`),
      )
      for (const { status } of await Promise.all(writes)) assert.equal(status, 200)

      const expected = {
        first: '1',
        ...Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`k${index}`, `${index}`])),
      }
      for (const port of ports())
        await inTheEnd(async () => (await agent.at(port).get('/read')).json()['result'], expected)
    })

    it('delete and set side by side', async () => {
      const agent = new Agent(ports()[0] as number)
      for (let index = 0; index < 5; index++) await agent.get(`/write?key=old${index}&value=1`)
      await Promise.all(
        Array.from({ length: 5 }, (_, index) => [
          agent.at(ports()[index % ports().length] as number).get(`/delete?key=old${index}`),
          agent.at(ports()[(index + 1) % ports().length] as number).get(`/write?key=new${index}&value=1`),
        ]).flat(),
      )
      const names = async (): Promise<string[]> =>
        Object.keys((await agent.get('/read')).json<{ result: object }>().result).toSorted()
      await inTheEnd(names, ['new0', 'new1', 'new2', 'new3', 'new4'])
    })

    it('are in the session that a regenerate makes of it, or are told that it is gone', async () => {
      const agent = new Agent(ports()[0] as number)
      await agent.get('/write?key=first&value=1')
      const expected: Record<string, string> = { first: '1' }
      for (let round = 0; round < 5; round++) {
        const cookie = agent.cookieHeader
        const save = async (index: number): Promise<void> => {
          const key = `k${round}-${index}`
          const other = new Agent(ports()[index % ports().length] as number)
          const { status, cookies } = await other.get(`/save?key=${key}&value=1`, { cookie })
          assert.ok(status === 200 || status === 409, `answered ${status}`)
          // Who comes when the old session is gone begins a session of his own.
          if (status === 200 && cookies.length === 0) expected[key] = '1'
        }
        const rotate = async (): Promise<void> => assert.equal((await agent.get('/rotate')).status, 200)
        const saves = Array.from({ length: 20 }, (_, index) => index)
        await Promise.all([...saves.slice(0, 10).map(save), rotate(), ...saves.slice(10).map(save)])
        await inTheEnd(async () => (await agent.get('/read')).json()['result'], expected)
      }
      assert.ok(Object.keys(expected).length > 1, 'some were in time')
    })

    it('keep what was written while a slow one was under way', async () => {
      const [here, there = here] = ports() as [number, number?]
      const agent = new Agent(here)
      await agent.get('/write?key=first&value=1')
      const slow = agent.get('/write?gate=slow&key=slow&value=1')
      await agent.get('/arrived?gate=slow')
      await agent.at(there).get('/write?key=quick&value=1')
      await agent.get('/open?gate=slow')
      await slow
      for (const port of ports())
        await inTheEnd(async () => (await agent.at(port).get('/read')).json()['result'], {
          first: '1',
          quick: '1',
          slow: '1',
        })
    })
  })
}
