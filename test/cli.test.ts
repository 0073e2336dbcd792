import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { fileStore, session } from '../src/index.ts'
import { keyOf } from '../src/id.ts'
import { storeFromUrl } from '../src/stores/url.ts'
import { command, type Ended } from './support/command.ts'
import { temporaryDirectory } from './support/deployments.ts'
import { KEY, OLD_KEY } from './support/http.ts'
import { memcachedServer, type MemcachedServer } from './support/memcached-server.ts'
import { newKey } from './support/records.ts'
import { redisServer, type RedisServer } from './support/redis-server.ts'
import { watchedSite } from './support/watched-site.ts'

let redis: RedisServer
let memcached: MemcachedServer
before(async () => {
  ;[redis, memcached] = await Promise.all([redisServer(), memcachedServer()])
})
after(() => Promise.all([redis.stop(), memcached.stop()]))

/** The stores that can list, each empty. */
const STORES: Record<string, (test: TestContext) => string> = {
  files: (test) => `file:${temporaryDirectory(test)}/sessions`,
  Redis: () => `${redis.url}?prefix=${newKey().slice(0, 8)}:`,
}

/** Each line as the document that it is. */
function documents({ out }: Ended): Record<string, unknown>[] {
  return out
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

describe('koa-server-session secret', () => {
  it('prints a new secret that keys accepts, or several', async () => {
    const { code, out, err } = await command(['secret', '--count', '3'])
    const secrets = out.trimEnd().split('\n')
    assert.deepEqual([code, err, new Set(secrets).size], [0, '', 3])
    for (const secret of secrets) assert.equal(Buffer.from(secret, 'base64url').length, 32)
    session({ keys: secrets, store: 'null:' })
    assert.match((await command(['secret'])).out, /^[\w-]{43}\n$/)
  })
})

for (const [name, urlOf] of Object.entries(STORES)) {
  describe(`koa-server-session on ${name}`, () => {
    it('lists the live sessions, for people and for programs', async (test) => {
      const { store, visit } = await watchedSite(test, urlOf(test))
      const [ada, anonymous] = [await visit('ada', 'Firefox on Linux'), await visit()]
      const forPeople = await command(['list', '--store', store])
      assert.deepEqual([forPeople.code, forPeople.err], [0, ''])
      const [heading = '', ...rows] = forPeople.out.trimEnd().split('\n')
      assert.match(heading, /^ID +CREATED +LAST SEEN +EXPIRES +SIZE +USER +LABEL$/)
      assert.equal(rows.length, 2)
      assert.match(rows.find((row) => row.startsWith(ada.id)) ?? '', / B  ada  Firefox on Linux$/)
      assert.match(rows.find((row) => row.startsWith(anonymous.id)) ?? '', / B  -$/)

      const lines = documents(await command(['list', '--json'], { env: { SESSION_STORE: store } }))
      const line = lines.find(({ id }) => id === ada.id)
      assert.deepEqual(Object.keys(line ?? {}), [
        'id',
        'createdAt',
        'lastSeenAt',
        'expiresAt',
        'bytes',
        'subject',
        'label',
      ])
      assert.deepEqual([lines.length, line?.['subject'], line?.['label']], [2, 'ada', 'Firefox on Linux'])
      assert.equal(Number(line?.['expiresAt']) - Number(line?.['lastSeenAt']), 1_800_000)
    })

    it('lists the sessions of one user, and says by its exit code that there are none', async (test) => {
      const { store, visit } = await watchedSite(test, urlOf(test))
      const [one, two] = [await visit('ada'), await visit('ada')]
      await visit('bob')
      const listed = await command(['list', '--subject', 'ada', '--json', '-s', store])
      assert.deepEqual(
        documents(listed)
          .map(({ id }) => id)
          .sort(),
        [one.id, two.id].sort(),
      )
      const none = await command(['list', '--subject', 'eve', '-s', store])
      assert.deepEqual([none.code, none.out], [3, ''])
      assert.match(none.err, /no live session/)
    })

    it('shows one session with its values as they are', async (test) => {
      const { store, visit } = await watchedSite(test, urlOf(test))
      const { id } = await visit('ada', 'phone')
      const { code, out } = await command(['show', id, '-s', store])
      assert.equal(code, 0)
      for (const part of [
        id,
        /^idle timeout +30 min$/m,
        /^absolute timeout +8 h$/m,
        /^user +ada$/m,
        /^ {2}since: 1970-01-01T00:00:00.000Z$/m,
        /^ {2}seen: Map\(1\) \{ 'tea' => 1n \}$/m,
        /^ {2}cart: \{ items: \[ \{ sku: 'tea' \} \] \}$/m,
        /^flash\n {2}notice: 'Welcome'$/m,
      ])
        assert.match(out, new RegExp(part))

      const [document] = documents(await command(['show', id, '--json', '-s', store]))
      const data = document?.['data'] as Record<string, unknown> | undefined
      assert.deepEqual(data?.['cart'], { items: [{ sku: 'tea' }] })
      assert.deepEqual([document?.['subject'], document?.['idleTimeout']], ['ada', 1_800_000])
    })

    it('ends a session by its id: its visitor is signed out, and its user’s list is shorter', async (test) => {
      const { store, sessions, visit, whoIs } = await watchedSite(test, urlOf(test))
      const [lost, kept] = [await visit('ada'), await visit('ada')]
      assert.equal(await whoIs(lost.browser), 'ada')
      const { code, out } = await command(['revoke', lost.id, '-s', store])
      assert.deepEqual([code, out.slice(0, 15)], [0, '1 session ended'])
      await sees(async () => (await whoIs(lost.browser)) === 'undefined')
      assert.equal(await whoIs(kept.browser), 'ada')
      assert.deepEqual(await notes(store, 'ada'), [kept.id])
      assert.equal((await sessions.list('ada')).length, 1)
      const again = await command(['revoke', lost.id, '--json', '-s', store])
      assert.deepEqual([again.code, documents(again)], [3, [{ revoked: 0, notFound: [lost.id] }]])
    })

    it('ends all sessions of a user but the excepted one', async (test) => {
      const { store, visit, whoIs } = await watchedSite(test, urlOf(test))
      const [lost, kept, bob] = [await visit('ada'), await visit('ada'), await visit('bob')]
      const { code } = await command(['revoke', '--subject', 'ada', '--except', kept.id, '-s', store])
      assert.equal(code, 0)
      await sees(async () => (await whoIs(lost.browser)) === 'undefined')
      assert.deepEqual([await whoIs(kept.browser), await whoIs(bob.browser)], ['ada', 'bob'])
      assert.deepEqual(await notes(store, 'ada'), [kept.id])
      assert.equal((await command(['revoke', '--subject', 'eve', '-s', store])).code, 3)
    })

    it('ends all sessions only with --yes where nobody can be asked', async (test) => {
      const { store, visit, whoIs } = await watchedSite(test, urlOf(test))
      const [ada, bob] = [await visit('ada'), await visit('bob')]
      const refused = await command(['revoke', '--all', '-s', store])
      assert.equal(refused.code, 2)
      assert.match(refused.err, /--yes/)
      assert.equal(await whoIs(ada.browser), 'ada')
      const done = await command(['revoke', '--all', '--yes', '--json', '-s', store])
      assert.deepEqual([done.code, documents(done)], [0, [{ revoked: 2 }]])
      await sees(async () => (await whoIs(bob.browser)) === 'undefined')
      assert.deepEqual(await notes(store, 'ada'), [])
    })

    it('counts sessions, sizes and ages', async (test) => {
      const { store, visit } = await watchedSite(test, urlOf(test))
      const empty = await command(['stats', '--json', '-s', store])
      // No session, no directory: then there is nothing to count in.
      assert.equal(empty.code, name === 'files' ? 1 : 0)
      for (const user of ['ada', 'bob', undefined]) await visit(user)
      const [document] = documents(await command(['stats', '--json', '-s', store]))
      const { sessions, identified, anonymous, bytes, age } = document as {
        [count: string]: number & { min: number; median: number; max: number; total: number }
      }
      assert.deepEqual([sessions, identified, anonymous], [3, 2, 1])
      assert.ok(bytes && bytes.min > 100 && bytes.min <= bytes.median && bytes.median <= bytes.max)
      assert.ok(bytes.total > 2 * bytes.min && bytes.total <= 3 * bytes.max)
      assert.ok(age && age.min <= age.max && age.max < 3_600_000)
      assert.match((await command(['stats', '-s', store])).out, /sessions +3\n +identified +2\n +anonymous +1\nsize /)
    })

    it('prints nothing by which anybody could take over a session', async (test) => {
      const { store, visit } = await watchedSite(test, urlOf(test))
      const { id, browser } = await visit('ada')
      const [secret = '', signature = ''] = browser.cookies.get('sid')?.split('.') ?? []
      assert.equal(keyOf(secret), id)
      for (const args of [
        ['list'],
        ['list', '--json'],
        ['show', id],
        ['show', id, '--json'],
        ['stats'],
        ['revoke', id],
      ]) {
        const { code, out, err } = await command([...args, '-s', store], { env: { SESSION_KEY: KEY } })
        assert.equal(code, 0)
        for (const word of [secret, signature, KEY]) assert.ok(!(out + err).includes(word))
      }
    })
  })
}

/** The keys noted for a subject, whether or not there is a record. */
async function notes(url: string, subject: string): Promise<string[]> {
  const store = storeFromUrl(url)
  const found: string[] = []
  const name = createHash('sha256').update(`subject ${subject}`).digest('hex')
  for await (const key of store.subjects?.keys(name) ?? []) found.push(key)
  await store.close?.()
  return found
}

/** Resolves when it is so: another process hears of what happened within the coherence bound. */
async function sees(condition: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 20_000
  while (!(await condition())) {
    assert.ok(Date.now() < end, 'it did not come true')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

describe('koa-server-session prune', () => {
  it('removes what has expired from files, and nothing else', async (test) => {
    const directory = temporaryDirectory(test)
    const store = fileStore({ directory, pruneInterval: 0 })
    const text = '{"format":1,"createdAt":0,"idleTimeout":1,"absoluteTimeout":1,"data":{}}'
    for (let made = 0; made < 5; made++) await store.save(newKey(), text, Date.now() - 3_600_000, undefined)
    const live = newKey()
    await store.save(live, text, Date.now() + 600_000, undefined)
    const pruned = await command(['prune', '--json', '-s', `file:${directory}`])
    assert.deepEqual([pruned.code, documents(pruned)], [0, [{ pruned: 5 }]])
    assert.ok(await store.load(live))
    assert.match((await command(['prune', '-s', `file:${directory}`])).out, /^0 expired sessions removed/)
  })

  it('has nothing to do on Redis and memcached, and says so', async () => {
    for (const url of [redis.url, memcached.url]) {
      const { code, err } = await command(['prune', '-s', url])
      assert.equal(code, 0)
      assert.match(err, /by itself/)
    }
  })
})

describe('encrypted sessions', () => {
  it('are listed without the key, as far as that goes, and read with it', async (test) => {
    const { store, visit } = await watchedSite(test, STORES['files']!(test), { keys: [OLD_KEY], encrypt: true })
    const { id } = await visit('ada')
    const [line] = documents(await command(['list', '--json', '-s', store]))
    assert.deepEqual(Object.keys(line ?? {}), ['id', 'expiresAt', 'bytes', 'state'])
    assert.deepEqual([line?.['id'], line?.['state']], [id, 'encrypted'])
    assert.match((await command(['list', '-s', store])).out, /\(encrypted\)$/m)
    assert.match((await command(['stats', '-s', store])).out, /encrypted +1 .*SESSION_KEY/)
    const hidden = await command(['show', id, '-s', store])
    assert.equal(hidden.code, 1)
    assert.match(hidden.err, /encrypted: set SESSION_KEY/)
    assert.doesNotMatch(hidden.out + hidden.err, /tea/)

    for (const env of [{ SESSION_KEY: OLD_KEY }, { SESSION_KEY: KEY, SESSION_KEY_OLD: OLD_KEY }]) {
      const shown = await command(['show', id, '-s', store], { env })
      assert.equal(shown.code, 0)
      assert.match(shown.out, /cart: \{ items: \[ \{ sku: 'tea' \} \] \}/)
    }
    const wrong = await command(['show', id, '-s', store], { env: { SESSION_KEY: KEY } })
    assert.equal(wrong.code, 1)
    assert.match(wrong.err, /none of the keys encrypted it/)
  })

  it('are ended by their ids without the key, and by their user only with it', async (test) => {
    const { store, visit, whoIs } = await watchedSite(test, STORES['files']!(test), { encrypt: true })
    const [one, two] = [await visit('ada'), await visit('ada')]
    assert.equal((await command(['revoke', one.id, '-s', store])).code, 0)
    assert.equal(await whoIs(one.browser), 'undefined')
    const blind = await command(['revoke', '--subject', 'ada', '-s', store])
    assert.equal(blind.code, 1)
    assert.match(blind.err, /1 session noted .* SESSION_KEY/)
    assert.equal(await whoIs(two.browser), 'ada')
    assert.equal((await command(['revoke', '--subject', 'ada', '-s', store], { env: { SESSION_KEY: KEY } })).code, 0)
    assert.equal(await whoIs(two.browser), 'undefined')
  })
})

describe('on memcached, which cannot list', () => {
  it('what needs a list is refused with a code of its own, and says what works', async () => {
    for (const args of [
      ['list'],
      ['list', '--subject', 'ada'],
      ['stats'],
      ['revoke', '--subject', 'ada'],
      ['revoke', '--all', '-y'],
    ]) {
      const { code, out, err } = await command([...args, '-s', memcached.url])
      assert.deepEqual([code, out], [3, ''], args.join(' '))
      assert.match(err, /What works with it: show ID, revoke ID, secret\./)
    }
  })

  it('what needs an id only works', async (test) => {
    const { store, visit, whoIs } = await watchedSite(test, memcached.url)
    const { id, browser } = await visit()
    assert.match((await command(['show', id, '-s', store])).out, /cart: \{/)
    assert.equal((await command(['revoke', id, '-s', store])).code, 0)
    assert.equal(await whoIs(browser), 'undefined')
    assert.equal((await command(['show', id, '-s', store])).code, 3)
  })
})

describe('a store that is not there', () => {
  it('is not made by looking for it', async (test) => {
    const directory = join(temporaryDirectory(test), 'sessions')
    for (const args of [['list'], ['stats'], ['prune'], ['show', newKey()], ['revoke', newKey()]]) {
      const { code, err } = await command([...args, '-s', `file:${directory}`])
      assert.equal(code, 1)
      assert.match(err, /no sessions in the directory/)
    }
    assert.ok(!existsSync(directory))
  })

  it('is not taken for one if it holds something else', async (test) => {
    const cwd = temporaryDirectory(test)
    mkdirSync(join(cwd, '.sessions/ab'), { recursive: true })
    const { code, err } = await command(['prune'], { cwd })
    assert.equal(code, 1)
    assert.match(err, /directory \.sessions: it is not there, or is not one of/)
  })

  it('is named with the reason, and without its password', async () => {
    for (const url of ['redis://ada:lovelace@127.0.0.1:1/0', 'memcached://127.0.0.1:1']) {
      const { code, out, err } = await command(['show', newKey(), '-s', url])
      assert.deepEqual([code, out], [1, ''])
      assert.match(err, /127\.0\.0\.1:1/)
      assert.match(err, /ECONNREFUSED/)
      assert.doesNotMatch(err, /lovelace|^ +at /m)
    }
  })
})

describe('wrong usage', () => {
  it('is answered on the standard error with a code of its own, and without the arguments', async () => {
    const cookie = `${'Pi-j92CNaIT-oboIwI4V8ncwt4jjnEc-u3csSrO4oh0'}.${'4lh5mTqD9utnfHd0g9xWQi87fahwMrV1aCiuMj3WQw8'}`
    const cases: [args: string[], sentence: RegExp][] = [
      [['lsit'], /"lsit" is not a command\. Did you mean list\?/],
      [['show', cookie], /secret.*public id/],
      [['list', '-s', 'postgres://localhost'], /no store for "postgres:".* redis:/],
      [['list', '-s', 'memory:'], /inside the application, where no other program can look/],
      [['revoke'], /either ids, or --subject NAME, or --all/],
      [['revoke', newKey(), '--all'], /either ids, or --subject NAME, or --all/],
      [['revoke', newKey(), '--except', newKey()], /--except goes with --subject or --all/],
      [['secret', '--count', 'two'], /--count must be a number from 1 to 1000/],
      [[], /Usage\n.*<command>/],
    ]
    for (const [args, sentence] of cases) {
      const { code, out, err } = await command(args)
      assert.deepEqual([code, out], [2, ''])
      assert.match(err, sentence)
      assert.doesNotMatch(err, /oboIwI4V|4lh5mTqD|localhost|^ +at /m)
    }
  })
})

describe('help', () => {
  it('is given for all of it and for each command, with the exit codes', async () => {
    const overview = await command(['--help'])
    assert.equal(overview.code, 0)
    const names = [...overview.out.matchAll(/^ {2}(\w+) {2,}/gm)].map(([, name]) => name as string)
    assert.deepEqual(
      ['secret', 'list', 'show', 'revoke', 'prune', 'stats'].filter((name) => !names.includes(name)),
      [],
    )
    for (const args of [
      ['revoke', '--help'],
      ['help', 'revoke'],
    ]) {
      const { code, out, err } = await command(args)
      assert.deepEqual([code, err], [0, ''])
      assert.match(out, /koa-server-session revoke [^]*--except[^]*Exit codes\n {2}0 /)
    }
  })

  it('tells the version of the package', async () => {
    const manifest = readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')
    const { version } = JSON.parse(manifest) as { version: string }
    assert.equal((await command(['--version'])).out, `${version}\n`)
  })
})
