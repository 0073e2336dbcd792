import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { isSessionError } from '../../src/index.ts'
import { storeFromUrl } from '../../src/stores/url.ts'
import { inTheEnd } from '../support/in-the-end.ts'
import { deployedOnce, patientRedis } from '../support/processes/deployments.ts'
import { startProcesses } from '../support/processes/site-processes.ts'
import { Agent } from '../support/sites/http.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { visits, type Visits } from '../support/visit.ts'

const MAX = 5
const WAYS = ['endOldest', 'refuse'] as const

/** The stores that need no server, each empty. */
const STORES: Record<string, () => string> = {
  memory: () => 'memory:',
  files: () => `file:${temporaryDirectory()}/sessions`,
  SQLite: () => `sqlite:${join(temporaryDirectory(), 'sessions.db')}`,
}

/** Eight processes, as far as sessions go: each has a cache, queues and notes of its own. */
function placesOn(test: TestContext, url: string): Visits[] {
  const stores = [storeFromUrl(url)]
  if (!url.startsWith('memory:')) stores.push(storeFromUrl(url))
  for (const store of stores) test.after(() => store.close?.())
  return Array.from({ length: 8 }, (_, n) => visits({ store: stores[n % stores.length]! }))
}

/** Signs somebody in; resolves to the id, or to `undefined` if there was no room. */
async function signIn({ stranger }: Visits, over: (typeof WAYS)[number]): Promise<string | undefined> {
  const visit = stranger()
  try {
    await visit.session.identify('ada', { max: MAX, over })
    visit.session['user'] = 'ada'
    await visit.end()
    return visit.copy.key
  } catch (error) {
    if (!isSessionError(error, 'ERR_SESSION_LIMIT')) throw error
    return undefined
  }
}

for (const [name, urlOf] of Object.entries(STORES)) {
  describe(`G19: a limit of parallel sessions is exact, on ${name}`, () => {
    for (const over of WAYS) {
      it(`whatever races, with over: ${over}: forty sign-ins at once leave five, which have been told so`, async (test) => {
        const places = placesOn(test, urlOf())
        const told = await Promise.all(
          Array.from({ length: 40 }, (_, n) => signIn(places[n % places.length] as Visits, over)),
        )
        const left = (await (places[0] as Visits).lifecycle.subjects.list('ada', undefined)).map(({ id }) => id)
        assert.equal(left.length, MAX)
        for (const id of left) assert.ok(told.includes(id), 'it has resolved')
      })
    }
  })
}

describe('G19: a limit of parallel sessions is exact, in four processes on one Redis', () => {
  const ports = deployedOnce(async (test) => startProcesses(test, 4, { store: await patientRedis(test) }))
  for (const over of WAYS) {
    it(`whatever races: two hundred sign-ins at once leave five, whoever is asked, with over: ${over}`, async () => {
      const visitors = Array.from({ length: 200 }, (_, n) => new Agent(ports()[n % 4] as number))
      const path = `/sign-in?user=${over}&max=${MAX}&over=${over}`
      const answers = await Promise.all(visitors.map((visitor) => visitor.get(path)))
      const strange = answers.filter(({ status }) => status !== 200 && status !== 409)
      assert.deepEqual(
        strange.map(({ status, text }) => `${status}: ${text}`),
        [],
      )
      for (const port of ports()) {
        const { result } = (await new Agent(port).get(`/devices?user=${over}`)).json<{ result: string[] }>()
        assert.equal(result.length, MAX)
      }
      const signedIn = async (): Promise<number> => {
        const pages = await Promise.all(visitors.map((visitor) => visitor.get('/read')))
        return pages.filter(({ text }) => text.includes(over)).length
      }
      await inTheEnd(signedIn, MAX, 'and five browsers have them')
    })
  }
})
