import { fileURLToPath } from 'node:url'
import { fileStore, redisStore, type Found, type Key, type Store } from 'koa-server-session'

/** Looks into the store by a way of its own, past the library's cache, its counters and its decryption. */
export interface RecordReader {
  /** What lies under this id; `undefined` if there is nothing. Rejects while the store does not answer. */
  read(id: Key): Promise<Found | undefined>
  close(): Promise<void>
}

const ONE_REDIS = /^rediss?(\+(unix|sentinel|cluster))?$/

/** `undefined` for a store that this page cannot look into. `store`: what the site keeps its sessions in. */
export function recordReader(store: Store | string = 'file:.sessions'): RecordReader | undefined {
  if (typeof store !== 'string') return { read: async (id) => store.load(id), close: async () => {} }
  const own = openedAgain(store)
  return own && { read: async (id) => own.load(id), close: async () => own.close?.() }
}

/** Whether this store answers in the very call, so that nothing else happens meanwhile. */
export function answersAtOnce(store: Store | string = 'file:'): boolean {
  return typeof store === 'string' && /^(file|memory)\b/.test(store)
}

function openedAgain(url: string): Store | undefined {
  const [, scheme = '', address = ''] = /^([\w+]+):?(.*)$/.exec(url) ?? []
  if (ONE_REDIS.test(scheme)) return redisStore(url === 'redis' ? 'redis://127.0.0.1' : url)
  if (scheme !== 'file') return undefined
  const [path = ''] = (address || '.sessions').split('?')
  const directory = path.startsWith('//') ? fileURLToPath(`file:${path}`) : decodeURIComponent(path)
  return fileStore({ directory, pruneInterval: 0 }) // the site's own store prunes
}
