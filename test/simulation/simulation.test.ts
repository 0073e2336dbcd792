import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { pagesOf } from './report.ts'
import { simulate, type Setting } from './site.ts'

const ROOT = join(import.meta.dirname, '../../..')
const BOUND = 1000

/** Small enough for a moment, with few sessions, so that the nodes get into each other's way. */
const SMALL: Setting = {
  seed: 20_261_126,
  nodes: 4,
  writes: 0.3,
  hasAffinity: false,
  sessionsPerNode: 2,
  requestsPerNode: 10,
  pause: 10_000,
  oneIn: 1,
  bound: BOUND,
  maxAge: 60_000,
  warmUp: 10_000,
  counted: 30_000,
  isKeptOn: true,
  hangsEvery: 4_000,
  clockIsSetEvery: 20_000,
  audit: 1,
}

describe('a site of several nodes in simulated time', () => {
  for (const protocol of [3, 2] as const) {
    it(`reads nothing that is older than the bound, whatever hangs or is lost, over RESP${protocol}`, async (t) => {
      const figures = await simulate({ ...SMALL, protocol })
      t.diagnostic(JSON.stringify(figures))
      assert.ok(figures.outdatedShare > 0, 'something was outdated when it was read')
      assert.ok(figures.greatestAge <= BOUND, `${figures.greatestAge} ms`)
      assert.ok(figures.bypasses > 0, 'the caches were not believed while nothing was heard')
      assert.ok(figures.audited > 50)
      assert.equal(figures.stale, 0, 'the audit accuses no honest cache')
    })
  }

  it('shows a cache that is believed although nothing is heard, and so does the audit', async (t) => {
    const figures = await simulate({ ...SMALL, protocol: 2, mutant: 'noLease' })
    t.diagnostic(JSON.stringify(figures))
    assert.ok(figures.greatestAge > BOUND)
    assert.ok(figures.stale > 0)
  })

  it('has more hits if each visitor is sent to one node', async () => {
    const calm = { ...SMALL, writes: 0.1, hangsEvery: 0, clockIsSetEvery: 0, audit: 0 }
    const any = await simulate(calm)
    const one = await simulate({ ...calm, hasAffinity: true })
    assert.ok(one.hitShare > any.hitShare)
  })

  it('does the same for the same seed', async () => {
    const brief = { ...SMALL, warmUp: 1000, counted: 9000 }
    assert.deepEqual(await simulate(brief), await simulate(brief))
  })
})

describe('what the guide says of many nodes', () => {
  it('is what the last run of the simulation has found', () => {
    for (const [path, text] of pagesOf(ROOT))
      assert.equal(readFileSync(join(ROOT, path), 'utf8'), text, `Run: npm run bench:nodes (${path})`)
  })
})
