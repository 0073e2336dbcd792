/** A site that runs on whatever runtime starts it, by what applications import. It listens at $PORT. */
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import Koa from 'koa'
import { getSession, session } from 'koa-server-session'

const { PORT, SESSION_KEY, SESSION_STORE } = process.env
const sessions = session({ keys: [SESSION_KEY], store: SESSION_STORE })

/** Deep in a service, with no ctx in sight, and after awaits of several kinds. */
async function whoAsks() {
  await pause(1)
  await Promise.resolve()
  await new Promise((resolve) => queueMicrotask(resolve))
  await new Promise((resolve) => process.nextTick(resolve))
  return getSession().userId ?? 'nobody'
}

async function* namesInPieces() {
  for (let count = 0; count < 3; count++) {
    await pause(1)
    yield `${getSession().userId}\n`
  }
}

const handlers = {
  '/': (ctx) => {
    getSession().visits = (getSession().visits ?? 0) + 1
    ctx.body = `Visit ${ctx.session.visits}`
  },
  '/cart': (ctx) => {
    ctx.session.cart = new Map([['tea', 1n]])
    ctx.session.at = new Date(0)
    ctx.body = 'done'
  },
  '/sign-in': async (ctx) => {
    await ctx.session.regenerate({ keep: ['cart', 'at'] })
    ctx.session.userId = ctx.query.name
    ctx.session.identify(ctx.query.name)
    ctx.body = 'done'
  },
  '/sign-out': async (ctx) => {
    await ctx.session.destroy()
    ctx.body = 'done'
  },
  '/me': async (ctx) => {
    const { cart, at } = ctx.session
    ctx.body = { name: await whoAsks(), tea: String(cart?.get('tea')), at: at?.getTime() }
  },
  '/pieces': (ctx) => {
    ctx.body = Readable.from(namesInPieces())
  },
  '/count': async (ctx) => {
    ctx.body = String(await ctx.session.update((data) => (data.count = (data.count ?? 0) + 1)))
  },
  '/refuse': (ctx) => {
    ctx.session.attempts = (ctx.session.attempts ?? 0) + 1
    ctx.throw(401, `attempt ${ctx.session.attempts}`)
  },
  '/devices': async (ctx) => {
    ctx.body = String((await sessions.list(ctx.session.userId)).length)
  },
  '/sign-out-elsewhere': async (ctx) => {
    ctx.body = String(await sessions.revokeAll(ctx.session.userId, { except: ctx.session.id }))
  },
}

const app = new Koa()
app.silent = true
app.use(sessions)
app.use((ctx) => handlers[ctx.path]?.(ctx))
await sessions.ready()
const server = app.listen(Number(PORT), '127.0.0.1')

await once(process, 'SIGTERM')
server.close()
server.closeAllConnections()
await once(server, 'close')
await sessions.close()
console.log('stopped')
