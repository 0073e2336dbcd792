import type { TestContext } from 'node:test'
import { createRequire } from 'node:module'
import {
  fileStore,
  fromExpressStore,
  memcachedStore,
  memoryStore,
  redisStore,
  type ExpressSessionStore,
  type Store,
} from '../../../src/index.ts'
import { memcachedServer } from '../servers/memcached-server.ts'
import { privateRedis } from '../servers/redis-server.ts'
import { temporaryDirectory } from '../temporary-directory.ts'
import { PATIENCE } from './records.ts'

/** Sessions of one kind of store, empty at first. */
export interface StoreKind {
  /** A handle on these sessions, as each node has one. Closed when the test ends. */
  open(): Store
}

const require = createRequire(import.meta.url)
const { MemoryStore } = require('express-session') as { MemoryStore: new () => ExpressSessionStore }

/** Every kind of store that the library brings. */
export const STORE_KINDS: Readonly<Record<string, (test: TestContext) => Promise<StoreKind>>> = {
  async memory(test) {
    const store = closing(test, memoryStore({ pruneInterval: 0 }))
    return { open: () => store }
  },
  async files(test) {
    const directory = temporaryDirectory()
    return { open: () => closing(test, fileStore({ directory, pruneInterval: 0 })) }
  },
  async Redis(test) {
    const { url } = await privateRedis(test)
    return { open: () => closing(test, redisStore(url, { deadline: PATIENCE })) }
  },
  async memcached(test) {
    const server = await memcachedServer()
    test.after(() => server.stop())
    return { open: () => closing(test, memcachedStore(server.url, { deadline: PATIENCE })) }
  },
  async express(_test) {
    const inner = new MemoryStore()
    return { open: () => fromExpressStore(inner, { deadline: PATIENCE }) }
  },
}

function closing(test: TestContext, store: Store): Store {
  test.after(() => store.close?.())
  return store
}
