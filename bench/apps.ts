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

export function bareApp(): Handle {
  const app = new Koa()
  app.use(async (ctx) => {
    // As the application with sessions does.
    if (ctx.path !== '/anonymous') ctx.body = { value: 'user-1' }
  })
  return app.callback()
}

/** The floor of what a library with `getSession()` can cost. */
export function alsApp(): Handle {
  const storage = new AsyncLocalStorage<Data>()
  const data = someData('user-1')
  const app = new Koa()
  app.use((_, next) => storage.run(data, next))
  app.use(async (ctx) => {
    if (ctx.path !== '/anonymous') ctx.body = { value: storage.getStore()?.['userId'] }
  })
  return app.callback()
}

/**
 * With sessions: `/login`, `/read` (a string), `/object`, `/write` (one key, another value each time), `/logout`,
 * and `/anonymous`, which leaves the session alone.
 */
export function sessionApp(options: SessionOptions): { handle: Handle; sessions: Sessions } {
  const app = new Koa()
  app.silent = true
  const sessions = session({ keys: [KEY], ...options })
  let writes = 0
  app.use(sessions)
  app.use(async (ctx) => {
    const { path } = ctx
    if (path === '/anonymous') {
      ctx.body = { value: 'user-1' }
      return
    }
    if (path === '/logout') await getSession().destroy()
    ctx.body = { value: valueFor(path, getSession() as unknown as Data) }
  })
  return { handle: app.callback(), sessions }

  function valueFor(path: string, data: Data): unknown {
    if (path === '/login') Object.assign(data, someData('user-1'))
    if (path === '/write') return (data['last'] = ++writes)
    return path === '/object' ? (data['user'] as Data)['name'] : (data['userId'] ?? null)
  }
}
