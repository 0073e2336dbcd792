import { AsyncLocalStorage } from 'node:async_hooks'
import { createServer } from 'node:http'
import Koa from 'koa'
import {
  CONSTANT,
  DAY,
  KEY,
  NEXT_KEY,
  countKeys,
  counted,
  fill,
  gate,
  options,
  param,
  pathOf,
  serve,
  sleep,
} from './common.mjs'

const app = new Koa()
app.keys = [KEY]
app.silent = true

/** Of each variant: how it is installed, and what its users write. */
const variants = {
  'koa-bare': async () => ({ session: () => CONSTANT, fresh: () => ({}) }),

  'koa-als': async () => {
    const storage = new AsyncLocalStorage()
    app.use((ctx, next) => storage.run(CONSTANT, next))
    return { session: () => storage.getStore(), fresh: () => ({}) }
  },

  // What must surround every request, so that a session is found anywhere in its call tree and no answer leaves without
  // its headers: the context round handleRequest, the bound events, the holder, Vary. There is no session in it.
  'koa-mechanism': async () => {
    const [{ enter, getSession }, { runInContext }, { varyByCookie }] = await Promise.all(
      ['context', 'koa', 'response'].map((name) => import(`../../dist/src/http/${name}.js`)),
    )
    app.use((ctx, next) => {
      enter(ctx, {
        session: CONSTANT,
        completeHead() {
          varyByCookie(ctx.res)
          if (!ctx.res.hasHeader('cache-control')) ctx.res.setHeader('cache-control', 'private')
        },
      })
      return runInContext(ctx, next)
    })
    return { session: getSession, fresh: () => ({}) }
  },

  'ours-memory': async () => ours(({ memoryStore }) => memoryStore()),
  'ours-file': async () => ours(({ fileStore }) => fileStore({ directory: options.directory })),
  'ours-redis': async () => ours(redisStoreOf('ours:')),
  'ours-redis-encrypted': async () => ours(redisStoreOf('ours-encrypted:'), { encrypt: true }),

  'ours-sqlite': async () => ours(() => `sqlite:${options.directory}/sessions.db`),
  'ours-postgres': async () => ours(() => options.postgres),
  'ours-mariadb': async () => ours(() => options.mariadb),

  'koa-session-cookie': async () => koaSession(undefined),
  'koa-session-map': async () => {
    const records = new Map()
    const store = {
      get: async (key) => records.get(key),
      set: async (key, value) => void records.set(key, value),
      destroy: async (key) => void records.delete(key),
    }
    return koaSession(counted(store, Object.keys(store)))
  },
  'koa-session-redis': async () => {
    const { Redis } = await import('ioredis')
    const redis = new Redis(options.redisPort, '127.0.0.1')
    const prefix = 'koa-session:'
    return koaSession({
      async get(key) {
        const text = await redis.get(prefix + key)
        return text === null ? undefined : JSON.parse(text)
      },
      set: (key, value, maxAge) => redis.set(prefix + key, JSON.stringify(value), 'PX', maxAge),
      destroy: (key) => redis.del(prefix + key),
    })
  },

  'koa-generic-session': async () => {
    const { default: session } = await import('koa-generic-session')
    const { default: redisStore } = await import('koa-redis')
    app.use(session({ store: redisStore({ host: '127.0.0.1', port: options.redisPort }), prefix: 'generic:' }))
    return {
      session: (ctx) => ctx.session,
      renew: (ctx) => ctx.regenerateSession(),
      logout: async (ctx) => void (ctx.session = null),
    }
  },
}

function redisStoreOf(prefix) {
  return ({ redisStore }) => redisStore(`redis://127.0.0.1:${options.redisPort}`, { prefix })
}

async function ours(storeOf, more) {
  const library = await import('../../dist/src/index.js')
  const sessions = library.session({
    ...more,
    keys: [KEY],
    store: storeOf(library),
    // Bounded by the number alone: an hour, because the servers wait for each other for minutes.
    ...(options.cache && { cache: { max: options.cache, maxBytes: 2 ** 28, maxAge: 3_600_000 } }),
  })
  app.use(sessions)
  return {
    session: () => library.getSession(),
    renew: () => library.getSession().regenerate(),
    logout: () => library.getSession().destroy(),
    rotate: () => sessions.rotate([NEXT_KEY, KEY]),
    storeCalls: () => {
      const { loads, saves, touches, destroys } = sessions.stats()
      return { load: loads, save: saves, touch: touches, delete: destroys }
    },
  }
}

async function koaSession(store) {
  const { default: session } = await import('koa-session')
  app.use((session.default ?? session)({ maxAge: DAY, ...(store && { store }) }, app))
  return {
    session: (ctx) => ctx.session,
    renew: (ctx) => ctx.session.regenerate(),
    logout: async (ctx) => void (ctx.session = null),
  }
}

const variant = await variants[options.variant]()

app.use(async (ctx) => {
  const { url } = ctx
  switch (pathOf(url)) {
    case '/anonymous':
      ctx.body = { value: 'user-0' }
      return
    case '/read':
      ctx.body = { value: variant.session(ctx).userId ?? null }
      return
    case '/object':
      ctx.body = { value: variant.session(ctx).user?.name ?? null }
      return
    case '/write':
      ctx.body = { value: (variant.session(ctx).last = param(url, 'n')) }
      return
    case '/set':
      await setKey(ctx, url)
      return
    case '/count':
      ctx.body = { value: countKeys(variant.session(ctx)) }
      return
    case '/login':
      if (variant.renew) await variant.renew(ctx)
      fill(variant.fresh?.() ?? variant.session(ctx), param(url, 'user'), Number(param(url, 'size')))
      ctx.body = { value: param(url, 'user') }
      return
    case '/slow': {
      const session = variant.session(ctx)
      const { userId } = session
      await gate()
      session.late = true
      ctx.body = { value: userId }
      return
    }
    case '/logout':
      await variant.logout(ctx)
      ctx.body = { value: null }
  }
})

async function setKey(ctx, url) {
  const session = variant.session(ctx)
  const wait = param(url, 'wait')
  if (wait) await sleep(Number(wait))
  ctx.body = { value: (session[param(url, 'key')] = param(url, 'n')) }
}

serve(createServer(app.callback()), {
  rotate: variant.rotate ?? (() => void (app.keys = [NEXT_KEY, KEY])),
  storeCalls: variant.storeCalls,
})
