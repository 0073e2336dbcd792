import { createServer } from 'node:http'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import Koa from 'koa'
import {
  fromExpressSession,
  fromKoaGenericSession,
  fromKoaSession,
  type OldSessions,
} from '../../../src/tools/moving.ts'
import { Agent, LASTING } from './http.ts'

const require = createRequire(import.meta.url)

export const OLD_SECRET: string = 'the secret of before'

/** A site that has the sessions of another library: `/in` signs Ada in, `/out` signs out, and `/` says who is there. */
export interface OldSite {
  agent(): Agent
  /** The same sessions, for the option `movingFrom`. */
  readonly reader: OldSessions
  /** How many sessions its store holds; absent if they are in the cookie. */
  count?(): number
}

/** The data of everybody who signs in. */
export const DATA: { user: string; cart: object } = { user: 'ada', cart: { items: ['tea', 'mug'] } }

type Options = { readonly maxAge?: number }

/** The libraries that keep their sessions in this process, or in the cookie. */
export const OLD_SITES: Readonly<Record<string, (test: TestContext, options?: Options) => Promise<OldSite>>> = {
  'koa-session, with the data in the cookie': (test, options) => koaSession(test, options),
  'koa-session, with a store': (test, options) => koaSession(test, { ...options, store: mapStore() }),
  'koa-generic-session': koaGenericSession,
  'express-session': (test, options) => {
    const { MemoryStore } = require('express-session') as { MemoryStore: new () => ExpressStore }
    return expressSession(test, new MemoryStore(), options)
  },
  'express-session, with memorystore': (test, options) => {
    const storeOf = require('memorystore') as (session: unknown) => new (options: object) => ExpressStore
    return expressSession(test, new (storeOf(require('express-session')))({}), options)
  },
}

/** What koa-session and koa-generic-session take for a store, in a Map. */
interface MapStore {
  readonly records: Map<string, string>
  get(key: string): Promise<unknown>
  set(key: string, data: object): Promise<void>
  destroy(key: string): Promise<void>
}

function mapStore(): MapStore {
  const records = new Map<string, string>()
  return {
    records,
    async get(key) {
      const text = records.get(key)
      return text === undefined ? undefined : (JSON.parse(text) as unknown)
    },
    async set(key, data) {
      records.set(key, JSON.stringify(data))
    },
    async destroy(key) {
      records.delete(key)
    },
  }
}

type OldContext = Koa.Context & { session: Record<string, unknown> | null }

async function koaSession(test: TestContext, { maxAge, store }: Options & { store?: MapStore } = {}): Promise<OldSite> {
  const { createSession } = require('koa-session') as {
    createSession: (options: object, app: Koa) => Koa.Middleware
  }
  const app = new Koa()
  app.keys = [OLD_SECRET]
  app.use(createSession({ ...(maxAge && { maxAge }), ...(store && { store }) }, app))
  return {
    ...(await koaSite(test, app)),
    reader: fromKoaSession({ keys: [OLD_SECRET], ...(store && { store }) }),
    ...(store && { count: () => store.records.size }),
  }
}

async function koaGenericSession(test: TestContext, { maxAge }: Options = {}): Promise<OldSite> {
  const sessions = require('koa-generic-session') as (options: object) => Koa.Middleware
  const store = mapStore()
  const app = new Koa()
  app.keys = [OLD_SECRET]
  app.use(sessions({ store, ...(maxAge && { cookie: { maxAge, expires: new Date(Date.now() + maxAge) } }) }))
  return {
    ...(await koaSite(test, app)),
    reader: fromKoaGenericSession({ keys: [OLD_SECRET], store }),
    count: () => store.records.size,
  }
}

function koaSite(test: TestContext, app: Koa): Promise<Pick<OldSite, 'agent'>> {
  app.use((ctx) => {
    const old = ctx as OldContext
    if (ctx.path === '/in') Object.assign(old.session as object, DATA)
    if (ctx.path === '/out') old.session = null
    ctx.body = String(old.session?.['user'] ?? 'nobody')
  })
  app.silent = true
  return listen(test, app.callback())
}

export interface ExpressStore {
  get(id: string, callback: (error?: never, data?: never) => void): unknown
  destroy(id: string, callback?: (error?: never) => void): unknown
  all?(callback: (error: unknown, sessions: object) => void): unknown
}

type OldRequest = IncomingMessage & { session: Record<string, unknown> & { destroy(done: () => void): void } }

/** A site with express-session on this store. */
export async function expressSession(
  test: Pick<TestContext, 'after'>,
  store: ExpressStore,
  { maxAge }: Options = {},
): Promise<OldSite> {
  const makeSessions = require('express-session') as (
    options: object,
  ) => (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void
  const cookie = maxAge === undefined ? {} : { cookie: { maxAge } }
  const sessions = makeSessions({ secret: OLD_SECRET, store, resave: false, saveUninitialized: false, ...cookie })
  const site = await listen(test, (req, res) =>
    sessions(req, res, () => {
      const { session } = req as OldRequest
      if (req.url === '/in') Object.assign(session, DATA)
      if (req.url === '/out') return session.destroy(() => res.end('nobody'))
      res.end(String(session['user'] ?? 'nobody'))
    }),
  )
  return { ...site, reader: fromExpressSession({ secret: OLD_SECRET, store }) }
}

async function listen(test: Pick<TestContext, 'after'>, listener: RequestListener): Promise<Pick<OldSite, 'agent'>> {
  const server = createServer(LASTING, listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  test.after(() => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo
  return { agent: () => new Agent(port) }
}
