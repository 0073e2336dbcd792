import Koa from 'koa'
import session, { getSession, type Session, type SessionData, type Sessions } from 'koa-server-session'

// Compiled, never run: applications that have types of their own for the context and for a second session.

interface State {
  user?: { name: string }
}
interface Context {
  log(line: string): void
}
interface AdminData {
  level?: 1 | 2
}

export function ownStateAndContext(): void {
  const app = new Koa<State, Context>()
  const sessions: Sessions = session({ keys: ['a secret of sixteen bytes or more'] })
  app.use(sessions)
  app.use(async (ctx, next) => {
    const current: Session = ctx.session
    ctx.state.user = { name: current.userId ?? 'nobody' }
    ctx.log(String(ctx.session.views))
    // @ts-expect-error: views is a number
    ctx.session.views = 'one'
    // @ts-expect-error: a user has a name
    ctx.state.user = { userId: 1 }
    await next()
  })
  app.use<{ more: number }, { trace: string }>((ctx) => {
    const views: number | undefined = ctx.session.views
    ctx.state.more = views ?? 0
    const trace: string = ctx.trace
    ctx.session = { userId: trace }
  })
}

export function ownSessionType(): void {
  const admin: Sessions<AdminData> = session<AdminData>({ cookie: { name: 'admin' } })
  const data: Session<AdminData> = admin.get()
  const level: 1 | 2 | undefined = data.level
  data.level = level ?? 1
  // @ts-expect-error: there is no such level
  data.level = 3
  // @ts-expect-error: this is the other session's data
  data.userId = 'ada'
  void data.regenerate({ keep: ['level'] })
  // @ts-expect-error: this is the other session's data
  void data.regenerate({ keep: ['userId'] })
  void data.update((newest) => (newest.level = 2))
}

declare module 'koa' {
  interface ExtendableContext {
    get admin(): Session<AdminData>
    set admin(data: Session<AdminData> | AdminData | null | undefined)
  }
}

/** As docs/several-sessions.md shows. */
export function secondProperty(): void {
  const admin = session<AdminData>({ property: 'admin', cookie: { name: 'admin' } })
  new Koa().use(admin).use((ctx) => {
    const level: 1 | 2 | undefined = ctx.admin.level
    ctx.admin.level = level ?? admin.get().level ?? 1
    ctx.session.userId = ctx.admin.id
    ctx.admin = { level: 2 }
    ctx.admin = null
    // @ts-expect-error: there is no such level
    ctx.admin.level = 3
    // @ts-expect-error: this is the other session's data
    ctx.admin.userId = 'ada'
    // @ts-expect-error: this is the other session's data
    ctx.session.level = 1
  })
  // @ts-expect-error: a name
  session({ property: Symbol('admin') })
}

/** So `delete ctx.session`, which would end nothing, is an error in strict programs. */
export const isRequired: object extends Pick<Koa.Context, 'session'> ? false : true = true

/** An application whose handlers say themselves which session they have. */
export function ownTypingOfTheContext(): void {
  interface WithAdmin extends Koa.ParameterizedContext {
    admin: Session<AdminData>
  }
  const handler = (ctx: WithAdmin): void => {
    const both: [1 | 2 | undefined, string | undefined] = [ctx.admin.level, ctx.session.userId]
    ctx.body = both
  }
  new Koa<Koa.DefaultState, { admin: Session<AdminData> }>().use(handler)
}

export function members(): void {
  const current = getSession()
  const id: string = current.id
  const facts: [boolean, number, number] = [current.isNew, current.createdAt, current.expiresAt]
  // @ts-expect-error: a fact, not data
  current.id = id
  // @ts-expect-error: a fact, not data
  current.createdAt = facts[1]
  current.remember(86_400_000)
  // @ts-expect-error: for how long?
  current.remember()
  // @ts-expect-error: timeouts are milliseconds
  current.remember('30d')
  // @ts-expect-error: what is remembered is the timeouts
  current.remember({ maxAge: 86_400_000 })
  // @ts-expect-error: it takes options
  void current.regenerate(true)
  // @ts-expect-error: timeouts are milliseconds
  current.remember({ idleTimeout: '1d' })
  current.flash('notice', { text: 'Welcome' })
  const notice: unknown = current.flash('notice')
  const notices: unknown[] = current.flashes('notice')
  // @ts-expect-error: flash leaves notices
  current.flashes('notice', notices)
  current.identify('ada', String(notice))
  current.identify('ada', { label: 'phone', also: { tenant: 'acme' } })
  // @ts-expect-error: a subject is a string
  void current.identify(1)
  // @ts-expect-error: and so is every other name
  void current.identify('ada', { also: { tenant: 1 } })
  const limited: Promise<void> = current.identify('ada', { label: 'phone', max: 5, over: 'refuse' })
  void limited
  // @ts-expect-error: there is no limit
  void current.identify('ada', { over: 'refuse' })
  current.save((error: unknown) => void error)
}

export function options(): void {
  // @ts-expect-error: there is no such option
  session({ maxAge: 1000 })
  // @ts-expect-error: not one of the values
  session({ cookie: { sameSite: 'maybe' } })
  session({ keys: [process.env['SESSION_KEY'], undefined], store: process.env['SESSION_STORE'] })
  session({ skip: (ctx) => ctx.path.startsWith('/assets') })
}

/** What an editor offers after `ctx.session.`, beside the data: these names, each of them, and no other. */
export const OFFERED: Record<Exclude<keyof Session, keyof SessionData>, true> = {
  id: true,
  isNew: true,
  createdAt: true,
  expiresAt: true,
  signal: true,
  endedBecause: true,
  save: true,
  reload: true,
  update: true,
  regenerate: true,
  destroy: true,
  prove: true,
  provedWithin: true,
  remember: true,
  identify: true,
  flash: true,
  flashes: true,
}
