import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Store } from '../../src/store.ts'
import { storeFromUrl } from '../../src/stores/url.ts'
import { DEPLOYMENTS, deployedOnce, patientRedis } from '../support/processes/deployments.ts'
import { privateRedis } from '../support/servers/redis-server.ts'
import { PATIENCE } from '../support/stores/records.ts'
import { Agent } from '../support/sites/http.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { visits, type Visits } from '../support/visit.ts'

async function ask<Answer>(agent: Agent, path: string): Promise<Answer> {
  const { status, text } = await agent.get(path)
  assert.equal(status, 200, `${path}: ${text}`)
  return (JSON.parse(text) as { result: Answer }).result
}

async function signedIn(port: number): Promise<Agent> {
  const agent = new Agent(port)
  await ask(agent, '/sign-in?user=ada')
  return agent
}

for (const [name, deploy] of Object.entries(DEPLOYMENTS)) {
  describe(`G17: what lives can be listed and revoked, ${name}`, () => {
    const ports = deployedOnce(deploy)

    it('wherever it began, and wherever it is asked for', async () => {
      const [here = 0, there = here] = ports()
      const visitors = [await signedIn(here), await signedIn(there), await signedIn(here)]
      for (const port of ports()) assert.equal((await ask<string[]>(new Agent(port), '/devices?user=ada')).length, 3)
      assert.equal(await ask(new Agent(there), '/revoke-all?user=ada'), 3)
      for (const visitor of visitors) {
        for (const port of ports()) assert.deepEqual(await ask(visitor.at(port), '/devices?user=ada'), [])
      }
    })

    it('also if it began while somebody looked all the time', async () => {
      const [here = 0, there = here] = ports()
      let isOver = false
      const looking = (async () => {
        const page = new Agent(there)
        while (!isOver) await ask(page, '/devices?user=ada')
      })()
      try {
        for (let n = 0; n < 15; n++) await signedIn(here)
      } finally {
        isOver = true
        await looking
      }
      assert.equal((await ask<string[]>(new Agent(there), '/devices?user=ada')).length, 15)
      assert.equal(await ask(new Agent(there), '/revoke-all?user=ada'), 15)
      assert.deepEqual(await ask(new Agent(here), '/devices?user=ada'), [])
    })

    it('also if it takes a new id all the time', async () => {
      const [here = 0, there = here] = ports()
      const thieves = await Promise.all(Array.from({ length: 5 }, () => signedIn(here)))
      let isOver = false
      const renewing = thieves.map(async (thief) => {
        while (!isOver) await thief.get('/rotate')
      })
      try {
        assert.ok((await ask<number>(new Agent(there), '/revoke-all?user=ada')) >= 5)
      } finally {
        isOver = true
        await Promise.all(renewing)
      }
      assert.deepEqual(await ask(new Agent(here), '/devices?user=ada'), [])
      assert.equal(await ask(new Agent(there), '/revoke-all?user=ada'), 0)
    })
  })
}

/** The stores that outlive a process, each empty. */
const STORES: Record<string, (test: TestContext) => Promise<string>> = {
  files: async () => `file:${temporaryDirectory()}/sessions`,
  Redis: patientRedis,
}

interface Place extends Visits {
  readonly url: string
  readonly store: Store
  listed(): Promise<string[]>
}

async function placeOn(test: TestContext, url: string): Promise<Place> {
  const store = storeFromUrl(url)
  test.after(() => store.close?.())
  const made = visits({ store })
  return {
    ...made,
    url,
    store,
    listed: async () => (await made.lifecycle.subjects.list('ada', undefined)).map(({ id }) => id),
  }
}

/** Runs `subject-process` to its end, and resolves to what it said. */
async function inProcess(url: string, what: string, ahead = 0): Promise<string> {
  const program = fileURLToPath(new URL('../support/programs/subject-process.js', import.meta.url))
  const child = spawn(process.execPath, [program, url, what, String(ahead)], { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.on('data', (data) => (said += String(data)))
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  assert.deepEqual([code, signal], what === 'die' ? [null, 'SIGKILL'] : [0, null])
  return said.trim()
}

const HOUR = 60 * 60_000

/** `timeout`: the session's, if not the usual one. */
async function signIn({ stranger }: Visits, timeout?: number): Promise<string> {
  const { session, end, copy } = stranger()
  session.identify('ada')
  if (timeout !== undefined) session.remember(timeout)
  await end()
  return copy.key
}

for (const [name, urlOf] of Object.entries(STORES)) {
  describe(`G17: what lives can be listed and revoked, on ${name}`, () => {
    it('though the process that signed it in was killed on the way', async (test) => {
      const place = await placeOn(test, await urlOf(test))
      const key = await inProcess(place.url, 'die')
      assert.deepEqual(await place.listed(), [key])
      assert.equal((await place.lifecycle.subjects.revokeAll('ada', [])).revoked, 1)
      assert.equal(await place.store.load(key), undefined)
    })

    it('though another process looks at it with a clock that is ahead', async (test) => {
      const place = await placeOn(test, await urlOf(test))
      const key = await signIn(place, HOUR)
      const ahead = 0.9 * HOUR // near the end of the session, and not beyond, however slow the machine is
      assert.equal(await inProcess(place.url, 'prune', ahead), '0')
      assert.equal(await inProcess(place.url, 'list', ahead), '1')
      assert.deepEqual(await place.listed(), [key])
    })
  })
}

describe('G17: what lives can be listed and revoked, whatever the clocks say', () => {
  it('by a process whose clock is ahead of the session’s end, on Redis', async (test) => {
    const place = await placeOn(test, await patientRedis(test))
    const key = await signIn(place)
    const ahead = 24 * HOUR
    assert.equal(await inProcess(place.url, 'list', ahead), '0')
    assert.deepEqual(await place.listed(), [key], 'nobody has taken the note back')
    await inProcess(place.url, 'revoke', ahead)
    assert.equal(await place.store.load(key), undefined, 'once revokeAll has resolved, nothing lives')
  })
})

describe('G17: what lives can be listed and revoked, whatever becomes of the index', () => {
  it('in a copy of the directory, made as cp -r does', async (test) => {
    const before = await placeOn(test, `file:${temporaryDirectory()}/sessions`)
    const key = await signIn(before)
    const copy = join(temporaryDirectory(), 'copy')
    cpSync(before.url.slice('file:'.length), copy, { recursive: true })
    const after = await placeOn(test, `file:${copy}`)
    await after.store.prune?.()
    assert.deepEqual(await after.listed(), [key])
    assert.equal((await after.lifecycle.subjects.revokeAll('ada', [])).revoked, 1)
    assert.equal(await after.store.load(key), undefined)
  })

  it('as soon as it is extended, if the index was lost', async (test) => {
    const redis = await privateRedis(test)
    const place = await placeOn(test, `${redis.url}?deadline=${PATIENCE}`)
    const key = await signIn(place)
    for (const name of (await redis.cli('KEYS', 'session:subject:*')).split('\n')) await redis.cli('DEL', name)
    assert.deepEqual(await place.listed(), [])
    const found = await place.store.load(key)
    assert.ok(found)
    await place.store.save(key, found.text, found.expiresAt - 30_000, found) // not used for half a minute
    const { copy } = await place.returning(key)
    place.lifecycle.touch(key, copy.found!)
    await place.lifecycle.settled()
    assert.deepEqual(await place.listed(), [key])
  })
})
