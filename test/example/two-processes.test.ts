import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { cart, notice, signIn, visits } from '../support/clients/example-pages.ts'
import type { ExampleSite } from '../support/sites/example-site.ts'
import { startTwo } from '../support/sites/example-two.ts'
import { until } from '../support/servers/server-process.ts'
import type { Reply } from '../support/clients/agent.ts'
import { Visitor } from '../support/clients/visitor.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

describe('npm run start:two', () => {
  let directory: string
  let site: ExampleSite

  before(async () => {
    directory = temporaryDirectory()
    site = await startTwo({ directory })
  })
  after(() => site?.stop())

  it('serves one site from two processes, and says in the footer which one answered', async () => {
    const visitor = new Visitor(site.url)
    const names = new Set<string>()
    await until(async () => {
      names.add(footer(await visitor.visit('/')).name)
      return names.size === 2
    })
    assert.deepEqual([...names].toSorted(), ['A', 'B'])
  })

  it('shares one cart and one count over both, and loses nothing that arrives at once', async () => {
    const visitor = new Visitor(site.url)
    await visitor.visit('/')
    const { token } = visitor
    await Promise.all(Array.from({ length: 20 }, () => visitor.post('/cart/add', { token, tea: 'mint' })))
    await Promise.all(Array.from({ length: 20 }, () => visitor.get('/')))
    // Each process knows of the other's writes within a second, and usually at once.
    await until(async () => cart(await visitor.visit('/cart'))['mint'] === 20)
    assert.equal(visits(await visitor.visit('/')), '22')
  })

  it('answers from the caches of both', async () => {
    const visitor = new Visitor(site.url)
    await visitor.visit('/')
    const served = new Map<string, number>()
    await until(async () => {
      const { name, hits } = footer(await visitor.visit('/cart'))
      served.set(name, hits)
      return served.size === 2 && [...served.values()].every((count) => count > 2)
    })
  })

  it('signs in on both, and out on both', async () => {
    const visitor = new Visitor(site.url)
    await signIn(visitor)
    const kept = visitor.cookies.get('sid')!
    for (let turn = 0; turn < 4; turn++) assert.match((await visitor.visit('/profile')).text, /<h1>Ada Lovelace/)
    await visitor.submit('/sign-out')
    const thief = new Visitor(site.url)
    const isAnonymous = async (): Promise<boolean> => {
      thief.cookies.set('sid', kept)
      return !(await thief.visit('/profile')).text.includes('Ada Lovelace')
    }
    await until(isAnonymous)
  })

  it('says where it is, and where the sessions are', () => {
    const [where, store, ...more] = site.output().trim().split('\n')
    assert.equal(where, `The example is at ${site.url}, by two processes; the foot of each page says which answered.`)
    assert.match(store!, /^Sessions are kept in a Redis that ends with this command; .* npm run start:two$/)
    assert.deepEqual(more, [])
  })

  it('ends by SIGTERM with both processes and their Redis, without a complaint', async () => {
    await endsCleanly(site, () => process.kill(site.pid, 'SIGTERM'))
  })
})

describe('ending npm run start:two', () => {
  it('by Ctrl-C ends both processes and their Redis, without a complaint', async () => {
    const site = await startTwo({ directory: temporaryDirectory() })
    await signIn(new Visitor(site.url))
    await endsCleanly(site, () => process.kill(-site.pid, 'SIGINT'))
  })

  it('happens too when one of the processes is killed, and is said', async () => {
    const directory = temporaryDirectory()
    const site = await startTwo({ directory })
    const children = childrenOf(site.pid)
    process.kill(children.at(-1)!, 'SIGKILL')
    assert.equal(await site.ended, 1)
    assert.match(site.output(), /One of the two processes has ended by itself/)
    assert.deepEqual(children.filter(isRunning), [])
  })
})

describe('/under-the-hood with npm run start:two', () => {
  let site: ExampleSite
  let visitor: Visitor

  before(async () => {
    site = await startTwo({ directory: temporaryDirectory(), env: { REDIS_AWAY: '300' } })
    visitor = new Visitor(site.url)
    await visitor.visit('/under-the-hood')
  })
  after(() => site?.stop())

  it('tells of the requests that either process has answered', async () => {
    await until(async () => {
      const { text } = await visitor.visit('/under-the-hood')
      return ['A', 'B'].every((name) => text.includes(`>process ${name}<`))
    })
  })

  it('loses nothing when fifty requests race over both', async () => {
    await visitor.submit('/under-the-hood/race')
    await until(async () => (await visitor.visit('/under-the-hood')).text.includes('lost nothing: 50 of 50'))
  })

  it('changes the signing key of both, and signs nobody out', async () => {
    await visitor.submit('/under-the-hood/key')
    for (let turn = 0; turn < 4; turn++) assert.equal((await visitor.visit('/under-the-hood/who')).text, 'somebody')
  })

  it('stops Redis and starts it again, with the sessions that it had', async () => {
    await visitor.visit('/under-the-hood')
    const { token } = visitor
    assert.equal((await visitor.post('/under-the-hood/redis', { token })).status, 303)
    let html = ''
    await until(async () => {
      html = (await visitor.visit('/under-the-hood')).text
      return html.includes('is back, and so is the session')
    })
    assert.match(html, /The home page<\/dt>\s*<dd>answers 200</)
    assert.match(html, /The cart<\/dt>\s*<dd>answers 503, and leaves the cookie alone</)
  })
})

describe('npm run start:two with other settings', () => {
  it('keeps the sessions where SESSION_STORE says, and starts no Redis', async () => {
    const directory = temporaryDirectory()
    const env = { SESSION_STORE: 'file:./here', PATH: '/nowhere' }
    const site = await startTwo({ directory, env })
    assert.equal(childrenOf(site.pid).length, 2)
    const visitor = new Visitor(site.url)
    await visitor.visit('/')
    for (let turn = 0; turn < 3; turn++) {
      assert.equal(notice(await visitor.submit('/cart/add', { tea: 'mint' })), 'Nana mint is in your cart.')
    }
    assert.deepEqual(cart(await visitor.visit('/cart')), { mint: 3 })
    assert.match(site.output(), /Sessions are kept where SESSION_STORE says/)
    await site.stop()
  })

  it('says what to install where there is no redis-server', async () => {
    const directory = temporaryDirectory()
    const starting = startTwo({ directory, env: { PATH: '/nowhere' } })
    await assert.rejects(starting, (error: Error) => {
      assert.match(error.message, /There is no redis-server here/)
      assert.match(error.message, /sudo apt-get install redis-server/)
      assert.match(error.message, /SESSION_STORE=redis:\/\/127\.0\.0\.1:6379 npm run start:two/)
      return true
    })
  })

  it('explains a wrong setting in one sentence', async () => {
    const directory = temporaryDirectory()
    const starting = startTwo({ directory, env: { SESSION_STORE: 'floppy:' } })
    await assert.rejects(starting, /There is no store for "floppy:"/)
  })
})

async function endsCleanly(site: ExampleSite, end: () => void): Promise<void> {
  const children = childrenOf(site.pid)
  assert.equal(children.length, 3)
  end()
  assert.equal(await site.ended, 0)
  assert.deepEqual(children.filter(isRunning), [])
  assert.equal(site.output().trim().split('\n').length, 2, site.output())
}

function footer(page: Reply): { name: string; hits: number } {
  const [, name = '', hits] =
    /id="answered-by">Answered by process (\w)\. Sessions read so far: (\d+) from its cache/.exec(page.text) ?? []
  return { name, hits: Number(hits) }
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number)
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
