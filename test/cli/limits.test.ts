import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { command, documents } from '../support/processes/command.ts'
import { KEY, OLD_KEY } from '../support/sites/http.ts'
import { memcachedServer, type MemcachedServer } from '../support/servers/memcached-server.ts'
import { watchedSite } from '../support/sites/watched-site.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

let memcached: MemcachedServer
before(async () => {
  memcached = await memcachedServer()
})
after(() => memcached.stop())

describe('encrypted sessions', () => {
  it('are listed without the key, as far as that goes, and read with it', async (test) => {
    const { store, visit } = await watchedSite(test, `file:${temporaryDirectory()}`, {
      keys: [OLD_KEY],
      encrypt: true,
    })
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
      const shown = await command(['show', id, '-s', store], env)
      assert.equal(shown.code, 0)
      assert.match(shown.out, /cart: \{ items: \[ \{ sku: 'tea' \} \] \}/)
    }
    const wrong = await command(['show', id, '-s', store], { SESSION_KEY: KEY })
    assert.equal(wrong.code, 1)
    assert.match(wrong.err, /none of the keys encrypted it/)
  })

  it('are ended by their ids without the key, and by their user only with it', async (test) => {
    const { store, visit, whoIs } = await watchedSite(test, `file:${temporaryDirectory()}`, { encrypt: true })
    const [one, two] = [await visit('ada'), await visit('ada')]
    assert.equal((await command(['revoke', one.id, '-s', store])).code, 0)
    assert.equal(await whoIs(one.browser), 'undefined')
    const blind = await command(['revoke', '--subject', 'ada', '-s', store])
    assert.equal(blind.code, 1)
    assert.match(blind.err, /1 session that may be this user’s cannot be read.* SESSION_KEY/)
    assert.equal(await whoIs(two.browser), 'ada')
    assert.equal((await command(['revoke', '--subject', 'ada', '-s', store], { SESSION_KEY: KEY })).code, 0)
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
