import { AsyncLocalStorage } from 'node:async_hooks'
import Koa from 'koa'
import { getSession, session, type SessionOptions, type Sessions } from '../src/index.ts'
import type { Handle } from './socketless.ts'

/** The applications that are measured inside one process. All answer `{"value":…}`. */

export const KEY = 'the signing key of the benchmark'

type Data = Record<string, unknown>

/** What the servers over sockets put into a session, too: some 200 bytes. */
export function someData(user: string): Data {
  return {
    userId: user,
    user: { id: user, name: `Name of ${user}`, roles: ['editor', 'author'], locale: 'en' },
    views: 1,
    csrf: 'c5f7a1d09b3e48a6c5f7a1d09b3e48a6',
  }
}

/** The same handler for all, so that they differ in nothing but where the data come from. */
function answering(dataOf: () => Data): (ctx: Koa.Context) => Promise<void> {
  let writes = 0
  function valueFor(path: string, data: Data): unknown {
    if (path === '/login') Object.assign(data, someData('user-1'))
    if (path === '/write') return (data['last'] = ++writes)
    return path === '/object' ? (data['user'] as Data)['name'] : (data['userId'] ?? null)
  }
  return async (ctx) => {
    const { path } = ctx
    ctx.body = { value: path === '/anonymous' ? 'user-1' : valueFor(path, dataOf()) }
  }
}

export function bareApp(): Handle {
  const data = someData('user-1')
  const app = new Koa()
  app.use(answering(() => data))
  return app.callback()
}

/** The floor of what a library with `getSession()` can cost. */
export function alsApp(): Handle {
  const storage = new AsyncLocalStorage<Data>()
  const data = someData('user-1')
  const app = new Koa()
  app.use((_, next) => storage.run(data, next))
  app.use(answering(() => storage.getStore() as Data))
  return app.callback()
}

/**
 * With sessions. They are asked for `/login`, `/read` (a string), `/object`, `/write` (one key, another value each time)
 * and `/anonymous`, which leaves the session alone.
 */
export function sessionApp(options: SessionOptions): { handle: Handle; sessions: Sessions } {
  const app = new Koa()
  app.silent = true
  const sessions = session({ keys: [KEY], ...options })
  app.use(sessions)
  app.use(answering(() => getSession() as unknown as Data))
  return { handle: app.callback(), sessions }
}
