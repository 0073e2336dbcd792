import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type AddressInfo } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { createServer, type Server } from 'node:tls'
import { Redis } from 'ioredis'
import { redisStore, session } from '../../src/index.ts'
import { selfSigned } from '../support/proxies/self-signed.ts'
import { redisServer, type RedisServer } from '../support/servers/redis-server.ts'
import { until } from '../support/servers/server-process.ts'
import { KEY } from '../support/sites/http.ts'
import { PATIENCE, newKey } from '../support/stores/records.ts'

/** What a cloud puts before its Redis: a door that speaks TLS, with a certificate of an authority of its own. */
describe('Redis behind TLS', () => {
  let redis: RedisServer
  let door: Server
  let port: number
  let ca: string

  before(async () => {
    redis = await redisServer()
    const certificate = await selfSigned('localhost')
    ca = certificate.cert
    door = createServer(certificate, (socket) => {
      const inner = connect(redis.port, '127.0.0.1')
      socket.pipe(inner).pipe(socket)
      for (const side of [socket, inner]) {
        side.on('error', () => {})
        side.once('close', () => [socket, inner].forEach((each) => each.destroy()))
      }
    })
    door.on('tlsClientError', () => {}) // a client that does not trust it
    door.listen(0, '127.0.0.1')
    await once(door, 'listening')
    port = (door.address() as AddressInfo).port
  })

  after(async () => {
    door.close()
    await redis.stop()
  })

  it('keeps sessions and vouches for the cache, if the client knows the authority', async (test) => {
    const store = redisStore(new Redis({ host: 'localhost', port, lazyConnect: true, tls: { ca } }), {
      deadline: PATIENCE,
    })
    test.after(() => store.close!())
    const sessions = session({ keys: [KEY], store })
    await sessions.ready()
    const link = store.watch!({ saved() {}, deleted() {} }).linkOf(newKey())
    await until(() => link.vouches())
  })

  it('is refused if nobody has named its authority, and the error says so', async (test) => {
    const sessions = session({ keys: [KEY], store: `rediss://localhost:${port}?deadline=${PATIENCE}` })
    test.after(() => sessions.close())
    await assert.rejects(sessions.ping(), {
      code: 'ERR_SESSION_STORE_UNAVAILABLE',
      message: /\(DEPTH_ZERO_SELF_SIGNED_CERT\)/,
    })
  })

  it('is refused if its certificate is of another host', async (test) => {
    const store = redisStore(new Redis({ host: '127.0.0.1', port, lazyConnect: true, tls: { ca } }), {
      deadline: PATIENCE,
    })
    test.after(() => store.close!())
    const sessions = session({ keys: [KEY], store })
    await assert.rejects(sessions.ping(), {
      code: 'ERR_SESSION_STORE_UNAVAILABLE',
      message: /\(ERR_TLS_CERT_ALTNAME_INVALID\)/,
    })
  })
})
