import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import Keygrip from 'keygrip'
import { keyOf } from '../../src/session/token.ts'
import { command, documents, program } from '../support/processes/command.ts'
import { KEY } from '../support/sites/http.ts'
import { newKey } from '../support/stores/records.ts'
import { postgresServer, type PostgresServer } from '../support/servers/postgres-server.ts'
import { redisServer, type RedisServer } from '../support/servers/redis-server.ts'
import { until } from '../support/servers/server-process.ts'
import { watchedSite } from '../support/sites/watched-site.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

let redis: RedisServer
let postgres: PostgresServer
before(async () => {
  redis = await redisServer()
  postgres = await postgresServer()
})
after(async () => {
  await redis.stop()
  await postgres.stop()
})

/** The stores that can list, each empty. */
const STORES: Record<string, (test: TestContext) => string> = {
  files: () => `file:${temporaryDirectory()}/sessions`,
  Redis: () => `${redis.url}?prefix=${newKey().slice(0, 8)}:`,
  PostgreSQL: () => `${postgres.url}?table=t${newKey().slice(0, 8)}`,
  SQLite: () => `sqlite://${temporaryDirectory()}/sessions.db`,
}

describe('koa-server-session copy', () => {
  it('copies from files to Redis and back, and the visitors are signed in on either', async (test) => {
    const urlOf = (name: string): string => STORES[name]?.(test) ?? assert.fail(name)
    const [files, server, again] = [urlOf('files'), urlOf('Redis'), urlOf('files')] as const
    const before = await watchedSite(test, files)
    const { browser } = await before.visit('ada')
    let from = files
    for (const to of [server, again]) {
      const ended = await command(['copy', from, to, '--cookie', 'sid', '--json'], { SESSION_KEY: KEY })
      assert.deepEqual([ended.code, documents(ended)], [0, [{ copied: 1, present: 0, different: 0, left: 0 }]])
      const after = await watchedSite(test, to)
      assert.equal(await after.whoIs(browser.at(after.port)), 'ada')
      assert.equal((await after.sessions.list('ada')).length, 1)
      from = to
    }
  })
})

for (const [name, urlOf] of Object.entries(STORES)) {
  describe(`koa-server-session on ${name}`, () => {
    it('lists the live sessions, for people and for programs', async (test) => {
      const { store, visit } = await watchedSite(test, urlOf(test))
      const [ada, anonymous] = [await visit('ada', 'Firefox on Linux'), await visit()]
      const forPeople = await program(['list', '--store', store])
      assert.deepEqual([forPeople.code, forPeople.err], [0, ''])
      const [heading = '', ...rows] = forPeople.out.trimEnd().split('\n')
      assert.match(heading, /^ID +CREATED +LAST SEEN +EXPIRES +SIZE +USER +LABEL$/)
      assert.equal(rows.length, 2)
      assert.match(rows.find((row) => row.startsWith(ada.id)) ?? '', / B  ada  Firefox on Linux$/)
      assert.match(rows.find((row) => row.startsWith(anonymous.id)) ?? '', / B  -$/)

      const lines = documents(await command(['list', '--json'], { SESSION_STORE: store }))
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
        /^flash\n {2}notice: 'Welcome'\n {2}notice: 'You have mail'$/m,
      ])
        assert.match(out, new RegExp(part))

      const [document] = documents(await command(['show', id, '--json', '-s', store]))
      const data = document?.['data'] as Record<string, unknown> | undefined
      assert.deepEqual(data?.['cart'], { items: [{ sku: 'tea' }] })
      assert.deepEqual(document?.['flash'], { notice: ['Welcome', 'You have mail'] })
      assert.deepEqual([document?.['subject'], document?.['idleTimeout']], ['ada', 1_800_000])
    })

    it('ends a session by its id: its visitor is signed out, and its user’s list is shorter', async (test) => {
      const { store, sessions, visit, whoIs } = await watchedSite(test, urlOf(test))
      const [lost, kept] = [await visit('ada'), await visit('ada')]
      assert.equal(await whoIs(lost.browser), 'ada')
      const { code, out } = await command(['revoke', lost.id, '-s', store])
      assert.deepEqual([code, out.slice(0, 15)], [0, '1 session ended'])
      await until(async () => (await whoIs(lost.browser)) === 'undefined')
      assert.equal(await whoIs(kept.browser), 'ada')
      assert.equal((await sessions.list('ada')).length, 1)
      const again = await command(['revoke', lost.id, '--json', '-s', store])
      assert.deepEqual([again.code, documents(again)], [3, [{ revoked: 0, notFound: [lost.id] }]])
    })

    it('ends all sessions of a user but the excepted one', async (test) => {
      const { store, visit, whoIs } = await watchedSite(test, urlOf(test))
      const [lost, kept, bob] = [await visit('ada'), await visit('ada'), await visit('bob')]
      const { code } = await command(['revoke', '--subject', 'ada', '--except', kept.id, '-s', store])
      assert.equal(code, 0)
      await until(async () => (await whoIs(lost.browser)) === 'undefined')
      assert.deepEqual([await whoIs(kept.browser), await whoIs(bob.browser)], ['ada', 'bob'])
      assert.equal((await command(['revoke', '--subject', 'eve', '-s', store])).code, 3)
    })

    it('asks the index of one application, given its key and its cookie, and ends no other’s sessions', async (test) => {
      const url = urlOf(test)
      const shop = await watchedSite(test, url, { cookie: { name: 'shop' } })
      const admin = await watchedSite(test, url, { cookie: { name: 'admin' } })
      const [customer, administrator] = [await shop.visit('1'), await admin.visit('1')]
      const env = { SESSION_KEY: KEY }
      const listed = await command(['list', '--subject', '1', '--cookie', 'shop', '--json', '-s', url], env)
      assert.deepEqual(
        documents(listed).map(({ id }) => id),
        [customer.id],
      )
      assert.equal(documents(await command(['list', '--subject', '1', '--json', '-s', url])).length, 2)

      const unknown = await command(['revoke', '--subject', '1', '--cookie', 'sid', '-s', url], env)
      assert.equal(unknown.code, 3)
      assert.match(unknown.err, /if --cookie is the application’s cookie.name and SESSION_KEY its key/)
      const keyless = await command(['revoke', '--subject', '1', '--cookie', 'shop', '-s', url])
      assert.equal(keyless.code, 2)
      assert.match(keyless.err, /--cookie needs SESSION_KEY/)
      assert.equal((await command(['revoke', customer.id, '--cookie', 'shop', '-s', url], env)).code, 2)

      const revoked = await command(['revoke', '--subject', '1', '--cookie', 'shop', '--json', '-s', url], env)
      assert.deepEqual([revoked.code, documents(revoked)], [0, [{ revoked: 1 }]])
      await until(async () => (await shop.whoIs(customer.browser)) === 'undefined')
      assert.equal(await admin.whoIs(administrator.browser), '1')
    })

    it('knows the users of an application that brings a Keygrip', async (test) => {
      const url = urlOf(test)
      const { visit } = await watchedSite(test, url, { keys: new Keygrip([KEY], 'sha256') })
      await visit('ada')
      const args = ['revoke', '--subject', 'ada', '--cookie', 'sid', '--json', '-s', url]
      assert.deepEqual(documents(await command(args, { SESSION_KEY: KEY })), [{ revoked: 1 }])
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
      await until(async () => (await whoIs(bob.browser)) === 'undefined')
    })

    it('counts sessions, sizes and ages', async (test) => {
      const { store, visit } = await watchedSite(test, urlOf(test))
      const empty = await command(['stats', '--json', '-s', store])
      // No session, no directory and no file: then there is nothing to count in.
      assert.equal(empty.code, name === 'files' || name === 'SQLite' ? 1 : 0)
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
        const { code, out, err } = await command([...args, '-s', store], { SESSION_KEY: KEY })
        assert.equal(code, 0)
        for (const word of [secret, signature, KEY]) assert.ok(!(out + err).includes(word))
      }
    })
  })
}
