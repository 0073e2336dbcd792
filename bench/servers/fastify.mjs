import cookie from '@fastify/cookie'
import session from '@fastify/session'
import MemoryStore from '@fastify/session/lib/store.js'
import { fastify } from 'fastify'
import { CONSTANT, KEY, countKeys, counted, fill, gate, options, param, serve, sleep } from './common.mjs'

const app = fastify({ keepAliveTimeout: 0 })
const isBare = options.variant === 'fastify-bare'
if (!isBare) {
  app.register(cookie)
  // As for express-session: nothing is written for who has nothing in the session; and no cookie with every answer.
  app.register(session, {
    secret: KEY,
    cookie: { secure: false },
    saveUninitialized: false,
    rolling: false,
    store: counted(new MemoryStore(), ['get', 'set', 'destroy']),
  })
}
const sessionOf = isBare ? () => CONSTANT : (request) => request.session

app.get('/anonymous', async () => ({ value: 'user-0' }))
app.get('/read', async (request) => ({ value: sessionOf(request).userId ?? null }))
app.get('/object', async (request) => ({ value: sessionOf(request).user?.name ?? null }))
app.get('/write', async (request) => ({ value: (sessionOf(request).last = param(request.url, 'n')) }))
app.get('/set', async (request) => {
  const wait = param(request.url, 'wait')
  if (wait) await sleep(Number(wait))
  return { value: (sessionOf(request)[param(request.url, 'key')] = param(request.url, 'n')) }
})
app.get('/count', async (request) => ({ value: countKeys(sessionOf(request)) }))
app.get('/login', async (request) => {
  const user = param(request.url, 'user')
  if (!isBare) await request.session.regenerate()
  fill(isBare ? {} : request.session, user, Number(param(request.url, 'size')))
  return { value: user }
})
app.get('/slow', async (request) => {
  const { userId } = sessionOf(request)
  await gate()
  sessionOf(request).late = true
  return { value: userId }
})
app.get('/logout', async (request) => {
  await request.session.destroy()
  return { value: null }
})

await app.ready()
serve(app.server)
