import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import { dirname, join } from 'node:path'
import express from 'express'
import session from 'express-session'
import { CONSTANT, KEY, NEXT_KEY, countKeys, counted, fill, gate, options, param, serve, sleep } from './common.mjs'

const app = express()
const keys = [KEY]

const METHODS = ['get', 'set', 'touch', 'destroy']

/** The store of each variant; `null` is no session at all. */
const stores = {
  'express-bare': async () => null,
  'express-session-memory': async () => counted(new session.MemoryStore(), METHODS),
  'express-session-redis': async () => {
    const { createClient } = await import('redis')
    const { RedisStore } = await import('connect-redis')
    const client = createClient({ url: `redis://127.0.0.1:${options.redisPort}` })
    await client.connect()
    return new RedisStore({ client, prefix: 'express:' })
  },
  'express-session-sqlite': async () => {
    // Another version of Node than the one that runs the benchmark has a copy of its own.
    const copy = join(dirname(process.execPath), '../../../sqlite/node_modules/better-sqlite3/lib/index.js')
    const { default: Database } = await import(existsSync(copy) ? copy : 'better-sqlite3')
    const { default: sqliteStore } = await import('better-sqlite3-session-store')
    const client = new Database(`${options.directory}/sessions.db`)
    client.pragma('journal_mode = WAL')
    return counted(new (sqliteStore(session))({ client, expired: { clear: true, intervalMs: 900_000 } }), METHODS)
  },
  'express-session-postgres': async () => {
    const { default: postgresStore } = await import('connect-pg-simple')
    const store = new (postgresStore(session))({
      conString: options.postgres,
      tableName: 'express_session',
      createTableIfMissing: true,
      pruneSessionInterval: false,
    })
    return counted(store, METHODS)
  },
  'express-session-file': async () => {
    const { default: fileStore } = await import('session-file-store')
    const store = new (fileStore(session))({ path: options.directory, retries: 0, reapInterval: -1, logFn() {} })
    return counted(store, METHODS)
  },
}

const store = await stores[options.variant]()
// The options that its documentation recommends; its defaults write for every visitor.
if (store !== null) app.use(session({ secret: keys, resave: false, saveUninitialized: false, store }))
const sessionOf = store === null ? () => CONSTANT : (request) => request.session

app.get('/anonymous', (request, response) => void response.json({ value: 'user-0' }))
app.get('/read', (request, response) => void response.json({ value: sessionOf(request).userId ?? null }))
app.get('/object', (request, response) => void response.json({ value: sessionOf(request).user?.name ?? null }))
app.get(
  '/write',
  (request, response) => void response.json({ value: (sessionOf(request).last = param(request.url, 'n')) }),
)
app.get('/set', async (request, response) => {
  const wait = param(request.url, 'wait')
  if (wait) await sleep(Number(wait))
  response.json({ value: (sessionOf(request)[param(request.url, 'key')] = param(request.url, 'n')) })
})
app.get('/count', (request, response) => void response.json({ value: countKeys(sessionOf(request)) }))
app.get('/login', (request, response, next) => {
  const user = param(request.url, 'user')
  function renewed(error) {
    if (error) return next(error)
    fill(store === null ? {} : request.session, user, Number(param(request.url, 'size')))
    response.json({ value: user })
  }
  if (store === null) renewed()
  else request.session.regenerate(renewed)
})
app.get('/slow', async (request, response) => {
  const { userId } = sessionOf(request)
  await gate()
  sessionOf(request).late = true
  response.json({ value: userId })
})
app.get('/logout', (request, response, next) => {
  request.session.destroy((error) => (error ? next(error) : response.json({ value: null })))
})

serve(createServer(app), { rotate: () => void keys.unshift(NEXT_KEY) })
