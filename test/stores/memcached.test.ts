import { after, before, describe, it } from 'node:test'
import { storeConformance } from '../../src/conformance.ts'
import { memcachedStore } from '../../src/stores/memcached.ts'
import { memcachedServer, type MemcachedServer } from '../support/memcached-server.ts'

describe('memcachedStore keeps the contract of a store', () => {
  const servers: MemcachedServer[] = []
  let stores = 0

  before(async () => {
    servers.push(...(await Promise.all([memcachedServer(), memcachedServer(), memcachedServer()])))
  })
  after(() => Promise.all(servers.map((server) => server.stop())))

  for (const [name, count] of [
    ['on one server', 1],
    ['on three servers', 3],
  ] as const) {
    const prefixes = new WeakMap<object, string>()
    const open = (prefix: string): ReturnType<typeof memcachedStore> => {
      const url = `memcached://${servers
        .slice(0, count)
        .map(({ address }) => address)
        .join(',')}`
      const store = memcachedStore(url, { prefix, deadline: 10_000 })
      prefixes.set(store, prefix)
      return store
    }
    storeConformance(it, {
      name,
      create: () => open(`${stores++}:`),
      peer: (store) => open(prefixes.get(store)!),
    })
  }
})
