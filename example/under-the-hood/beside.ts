import { once } from 'node:events'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { randomBytes } from 'node:crypto'
import Koa, { type Context, type Middleware } from 'koa'
import { Gathering } from './gathering.ts'
import { send, type Place } from './loopback.ts'
import { NOBODY, NUMBER_HEADER, PART, RACE_HEADER, SLOW, SOMEBODY, WHO } from './paths.ts'

/** What koa-session has at `ctx.session`, and takes back there. */
type OldContext = Context & { session: Record<string, unknown> | null }
type CreateSession = (options: object, app: Koa) => Middleware

/** A small site on koa-session, for somebody who is signed in there. */
export interface OldSite {
  /** With the cookie of whoever is signed in. */
  readonly place: Place
  /** How many of the racing requests have left their mark, and how far they have counted. */
  count(): Promise<{ kept: number; counted: number }>
  signOut(): Promise<void>
}

/** All come to this process, however slow it is. */
const PATIENCE = 10_000

const SIGN_IN = '/sign-in'
const SIGN_OUT = '/sign-out'
const COUNT = '/count'

/**
 * Runs `work` beside a site whose sessions are koa-session's, in this process, with its data in a store, as ours is. It
 * begins and ends with the work. Resolves to `undefined` if koa-session is not installed, which only the developers of
 * this repository need.
 */
export async function beside<Result>(work: (site: OldSite) => Promise<Result>): Promise<Result | undefined> {
  const createSession = koaSession()
  if (!createSession) return undefined
  const server = createServer(oldApp(createSession).callback())
  // Of this process alone, also where the cluster module would share the port.
  server.listen({ port: 0, host: '127.0.0.1', exclusive: true })
  await once(server, 'listening')
  try {
    const stranger = { host: '127.0.0.1', port: (server.address() as AddressInfo).port, headers: {} }
    const { cookies } = await send(stranger, 'POST', SIGN_IN)
    const place = { ...stranger, headers: { Cookie: cookies.join('; ') } }
    return await work({
      place,
      count: async () => JSON.parse((await send(place, 'GET', COUNT)).text) as { kept: number; counted: number },
      signOut: async () => void (await send(place, 'POST', SIGN_OUT)),
    })
  } finally {
    server.close()
    server.closeAllConnections()
  }
}

function koaSession(): CreateSession | undefined {
  try {
    return (createRequire(import.meta.url)('koa-session') as { createSession: CreateSession }).createSession
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return undefined
    throw error
  }
}

function oldApp(createSession: CreateSession): Koa {
  const app = new Koa()
  const gathering = new Gathering(PATIENCE)
  app.keys = [randomBytes(32).toString('base64url')]
  app.use(createSession({ store: new StoreInMemory() }, app))
  app.use(async (context) => {
    const ctx = context as OldContext
    const session = ctx.session ?? {}
    ctx.body = 'done'
    switch (ctx.path) {
      case SIGN_IN:
        session['user'] = SOMEBODY
        break
      case SIGN_OUT:
        ctx.session = null
        break
      case WHO:
        ctx.body = session['user'] ?? NOBODY
        break
      // The same as the routes of our site do: see routes.ts.
      case PART:
        await gathering.arrive(ctx.get(RACE_HEADER))
        session[`racer-${ctx.get(NUMBER_HEADER)}`] = true
        session['racers'] = Number(session['racers'] ?? 0) + 1
        break
      case SLOW:
        await theRest(ctx)
        session['late'] = true
        break
      case COUNT:
        ctx.body = { kept: racersIn(session), counted: Number(session['racers'] ?? 0) }
    }
  })
  return app
}

/** How many racing requests have left something under a name of their own. */
export function racersIn(session: object): number {
  return Object.keys(session).filter((name) => name.startsWith('racer-')).length
}

/** Says that the request has begun, and waits until the whole of it is here. */
export async function theRest(ctx: Context): Promise<void> {
  ctx.res.writeProcessing()
  if (ctx.req.complete) return
  ctx.req.resume()
  await once(ctx.req, 'end')
}

/** A store as koa-session wants it. Like a server, it answers later, and hands out copies. */
class StoreInMemory {
  readonly #records = new Map<string, string>()

  async get(key: string): Promise<unknown> {
    const text = this.#records.get(key)
    return text === undefined ? undefined : (JSON.parse(text) as unknown)
  }

  async set(key: string, data: object): Promise<void> {
    this.#records.set(key, JSON.stringify(data))
  }

  async destroy(key: string): Promise<void> {
    this.#records.delete(key)
  }
}
