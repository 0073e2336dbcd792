import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { Cluster, Redis } from 'ioredis'
import { createClient } from 'redis'
import { isSessionError } from '../../src/errors.ts'
import type { Store } from '../../src/store.ts'
import { redisStore, type RedisClient } from '../../src/stores/redis.ts'
import { selfSigned } from '../support/proxies/self-signed.ts'
import { redisServer, type RedisServer } from '../support/servers/redis-server.ts'
import { freePort, until } from '../support/servers/server-process.ts'
import { PATIENCE, later, newKey, rejection, savedOf } from '../support/stores/records.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

describe('redisStore over TLS', () => {
  const directory = temporaryDirectory('redis-tls')
  const [certFile, keyFile] = [join(directory, 'cert.pem'), join(directory, 'key.pem')]
  const servers: RedisServer[] = []
  const opened: Store[] = []
  let ca: string
  let urls: Record<'one server' | 'Sentinel' | 'a Cluster', string>
  let clients: Record<string, () => RedisClient>

  before(async () => {
    const { key, cert } = await selfSigned('127.0.0.1')
    ca = cert
    writeFileSync(certFile, cert)
    writeFileSync(keyFile, key)
    const [port, sentinelPort, nodePort] = [await freePort(), await freePort(), await freePort()]
    const files = ['--tls-cert-file', certFile, '--tls-key-file', keyFile, '--tls-ca-cert-file', certFile]
    const terms = ['--tls-auth-clients', 'no', '--tls-replication', 'yes']
    const options = (tlsPort: number): string[] => ['--tls-port', String(tlsPort), ...files, ...terms]
    const server = await redisServer({ args: options(port) })
    const sentinel = await redisServer({
      sentinel: `sentinel monitor main 127.0.0.1 ${port} 1`,
      args: options(sentinelPort),
    })
    const busPort = String(await freePort())
    const cluster = [
      '--cluster-enabled',
      'yes',
      '--cluster-port',
      busPort,
      '--tls-cluster',
      'yes',
      '--cluster-announce-ip',
      '127.0.0.1',
    ]
    const node = await redisServer({ args: [...options(nodePort), ...cluster] })
    servers.push(server, sentinel, node)
    await node.cli('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
    await until(async () => (await node.cli('CLUSTER', 'INFO')).includes('cluster_state:ok'))
    urls = {
      'one server': `rediss://127.0.0.1:${port}`,
      Sentinel: `rediss+sentinel://127.0.0.1:${sentinelPort}/main`,
      'a Cluster': `rediss+cluster://127.0.0.1:${nodePort}`,
    }
    const [tls, host] = [{ ca }, '127.0.0.1']
    const sentinels = { sentinels: [{ host, port: sentinelPort }], name: 'main', enableTLSForSentinelMode: true }
    clients = {
      'one server': () => new Redis({ host, port, tls, lazyConnect: true }),
      Sentinel: () => new Redis({ ...sentinels, tls, sentinelTLS: tls, lazyConnect: true }),
      'a Cluster': () => new Cluster([{ host, port: nodePort }], { redisOptions: { tls }, lazyConnect: true }),
      'one server, with node-redis': () => createClient({ socket: { host, port, tls: true, ca } }),
    }
  })
  afterEach(() => Promise.all(opened.splice(0).map((store) => store.close!())))
  after(() => Promise.all(servers.map((server) => server.stop())))

  function open(place: string | RedisClient, deadline = PATIENCE): Store {
    const store = redisStore(place, { deadline })
    opened.push(store)
    return store
  }

  for (const what of ['one server', 'Sentinel', 'a Cluster', 'one server, with node-redis'] as const) {
    it(`reaches ${what} with a client that trusts its authority, and caches`, async () => {
      const store = open(clients[what]!())
      const key = newKey()
      savedOf(await store.save(key, '1', later(), undefined))
      assert.equal((await store.load(key))?.text, '1')
      const watch = store.watch!({ saved() {}, deleted() {} })
      await until(() => watch.linkOf(key).vouches())
    })
  }

  it('reaches all of them by URLs, if the process trusts the authority', async () => {
    const script = `
      const { redisStore } = await import(${JSON.stringify(new URL('../../src/stores/redis.js', import.meta.url).href)})
      for (const url of ${JSON.stringify(Object.values(urls))}) {
        const store = redisStore(url, { deadline: ${PATIENCE} })
        const watch = store.watch({ saved() {}, deleted() {} })
        await store.save('${newKey()}', url, Date.now() + 60_000, undefined)
        while (!watch.linkOf('${newKey()}').vouches()) await new Promise((resolve) => setTimeout(resolve, 5))
        await store.close()
      }
      console.log('reached')`
    const env = { ...process.env, NODE_EXTRA_CA_CERTS: certFile }
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
      env,
      timeout: 120_000,
    })
    assert.equal(stdout, 'reached\n')
  })

  it('reaches none of them if it does not, and says why, if the client does', async () => {
    const untrusted = [urls['one server'], createClient({ url: urls['one server'] })].map((place) => open(place))
    for (const { error } of await Promise.all(untrusted.map((store) => rejection(store.load(newKey())))))
      assert.match(error.message, /self-signed certificate/)
    // Of several servers ioredis only says that none of them can be reached, or goes on trying.
    const others = [urls.Sentinel, urls['a Cluster']].map((place) => open(place, 1000))
    for (const { error } of await Promise.all(others.map((store) => rejection(store.load(newKey())))))
      assert.ok(isSessionError(error, 'ERR_SESSION_STORE_UNAVAILABLE'))
  })
})
