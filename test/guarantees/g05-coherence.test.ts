import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Agent } from '../support/http.ts'
import { startProcesses } from '../support/deployments.ts'

describe('G5: with files, every process sees at once', () => {
  it('what another one has written, also where its cache is warm', async (test) => {
    const ports = await startProcesses(test, 2)
    const [here, there] = ports as [number, number]
    const agent = new Agent(here)
    await agent.get('/write?key=n&value=0')
    for (let n = 1; n <= 50; n++) {
      const [writer, reader] = n % 2 ? [here, there] : [there, here]
      assert.deepEqual((await agent.at(reader).get('/read')).json()['result'], { n: `${n - 1}` })
      await agent.at(writer).get(`/write?key=n&value=${n}`)
      assert.deepEqual((await agent.at(reader).get('/read')).json()['result'], { n: `${n}` })
    }
  })

  it('that another one has ended a session, also where its cache is warm', async (test) => {
    const ports = await startProcesses(test, 2)
    const [here, there] = ports as [number, number]
    for (let trial = 0; trial < 20; trial++) {
      const agent = new Agent(here)
      await agent.get('/write?key=user&value=alice')
      const cookie = agent.cookieHeader
      for (const port of ports) assert.deepEqual((await agent.at(port).get('/read')).json()['result'], { user: 'alice' })
      await agent.at(there).get('/logout')
      for (const port of ports) assert.deepEqual((await new Agent(port).get('/read', { cookie })).json()['result'], {})
    }
  })
})
