import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import type { Store } from '../../src/store.ts'
import { redisStore } from '../../src/stores/redis.ts'
import { tcpProxy, type TcpProxy } from '../support/proxies/tcp-proxy.ts'
import { redisServer, type RedisServer } from '../support/servers/redis-server.ts'
import { until } from '../support/servers/server-process.ts'
import { PATIENCE, later, newKey, savedOf } from '../support/stores/records.ts'
import { collectWarnings } from '../support/warnings.ts'

/** Lines of INFO that every Redis says, and what these servers say there, as long as those. */
const SAYS: readonly [name: string, code: string, ...instead: readonly (readonly [of: string, said: string])[]][] = [
  ['Dragonfly', 'SESSION_REDIS_NOT_WATCHING', ['redis_git_sha1:00000000', 'dragonfly_version:v1.40']],
  ['Garnet', 'SESSION_REDIS_NOT_WATCHING', ['redis_git_sha1:00000000', 'garnet_version:1.0.9999']],
  ['KeyDB', 'SESSION_REDIS_NOT_WATCHING', ['redis_git_sha1:00000000', 'mvcc_depth:000000000000']],
]
const AMONG_MASTERS = ['role:master\r\nconnected_slaves:0\r\n', 'role:active-replica\r\nslaves:000\r\n'] as const

describe('redisStore on a server that only speaks as Redis does', () => {
  let server: RedisServer
  let proxy: TcpProxy
  const opened: Store[] = []
  before(async () => {
    server = await redisServer()
    proxy = await tcpProxy(server.port)
  })
  afterEach(() => Promise.all(opened.splice(0).map((store) => store.close!())))
  after(async () => {
    await proxy.close()
    await server.stop()
  })

  function open(query = ''): Store {
    const store = redisStore(`redis://127.0.0.1:${proxy.port}${query}`, { deadline: PATIENCE })
    opened.push(store)
    return store
  }

  for (const [name, code, ...instead] of SAYS) {
    it(`${name}: caches nothing, says so once, and does all the rest`, async (test) => {
      const warnings = await collectWarnings(test)
      proxy.rewriteAnswers(...instead)
      const store = open()
      const link = store.watch!({ saved() {}, deleted() {} }).linkOf('')
      await until(async () => (await warnings()).length > 0)
      const key = newKey()
      savedOf(await store.save(key, '1', later(), undefined))
      assert.equal((await store.load(key))?.text, '1')
      assert.equal(await store.delete(key), true)
      assert.equal(link.vouches(), false)
      proxy.cut()
      await until(() =>
        Promise.resolve(store.ping!()).then(
          () => true,
          () => false,
        ),
      )
      const told = await warnings()
      assert.deepEqual(
        told.map((warning) => warning.code),
        [code],
      )
      assert.match(told[0]!.message, new RegExp(`the server is ${name}, .*caches nothing`))
    })
  }

  it('KeyDB with active replicas: is warned of the lost changes too, also where nothing is cached anyway', async (test) => {
    const warnings = await collectWarnings(test)
    proxy.rewriteAnswers(SAYS[2]![2]!, AMONG_MASTERS)
    await open('?bound=0').ping!()
    await until(async () => (await warnings()).length > 0)
    open().watch!({ saved() {}, deleted() {} })
    await until(async () => (await warnings()).length === 3)
    assert.deepEqual(
      (await warnings()).map((warning) => warning.code),
      ['SESSION_REDIS_MANY_MASTERS', 'SESSION_REDIS_MANY_MASTERS', 'SESSION_REDIS_NOT_WATCHING'],
    )
  })
})
