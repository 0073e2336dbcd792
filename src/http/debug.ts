import { AsyncLocalStorage } from 'node:async_hooks'
import { debuglog } from 'node:util'
import type Koa from 'koa'
import { observe, type DiagnosticMessage } from '../diagnostics.ts'
import { isSessionError } from '../errors.ts'
import { holderOf } from './context.ts'
import type { SessionCookie } from './cookie.ts'
import { RequestSession } from './request.ts'

/** What was published while a request was handled, and on which channel. */
type Heard = { readonly channel: string; readonly message: DiagnosticMessage }[]
type Middleware = (ctx: Koa.ParameterizedContext, next: Koa.Next) => Promise<void>

const log = debuglog('koa-server-session')

/**
 * With `NODE_DEBUG=koa-server-session` in the environment, the middleware with one line on stderr for each request: why
 * there was a session or none, and what became of it. Otherwise the middleware itself, so that nothing is paid.
 *
 * The line is made of what the diagnostics channels say and of the response's own headers. So it holds no secret, and no
 * part of a request does anything for it.
 */
export function explained(middleware: Middleware, cookie: SessionCookie): Middleware {
  if (!log.enabled) return middleware
  const requests = new AsyncLocalStorage<Heard>()
  observe((channel, message) => {
    if (message.cookieName === cookie.name && channel !== 'invalidate') requests.getStore()?.push({ channel, message })
  })

  return (ctx, next) => {
    if (holderOf(ctx, middleware)) return middleware(ctx, next) // mounted twice, and explained by the outer one
    const heard: Heard = []
    const parts: string[] = []
    return requests.run(heard, async () => {
      try {
        await middleware(ctx, () => {
          parts.push(arrivalOf(ctx, middleware, cookie, heard.splice(0)))
          return next()
        })
      } catch (error) {
        parts.push(`threw ${isSessionError(error) ? error.code : 'an error'}`)
        throw error
      } finally {
        parts.push(...heard.map(eventOf), ...cookieSent(ctx, cookie.names))
        // A query may hold what is nobody's business.
        log('%s %s: %s: %s', ctx.method, ctx.path, cookie.name, parts.join('; '))
      }
    })
  }
}

/** Before the handlers run: whether the request has a session, and why not. */
function arrivalOf(ctx: Koa.ParameterizedContext, owner: object, cookie: SessionCookie, heard: Heard): string {
  const holder = holderOf(ctx, owner)
  if (!holder) return 'skipped'
  if (holder.id !== undefined)
    return heard.some(({ channel }) => channel === 'load') ? 'session from the store' : 'session from the cache'
  // Of several cookies, each may have failed in its own way: the first of these reasons is the one to look at.
  for (const [reason, why] of WHY_NONE) {
    const failure = heard.find(({ message }) => message.reason === reason)
    if (failure) return `no session, because ${why}${wordsOf(failure.message)}`
  }
  const { cookie: header } = ctx.req.headers
  const whyPassing = holder instanceof RequestSession ? holder.whyPassing : undefined
  if (whyPassing) return `no session, because ${WHY_PASSING[whyPassing]}`
  if (holder instanceof RequestSession && holder.endedBecause !== undefined)
    return 'no session, because it was ended, and the visitor can be told why (`endedBecause`)'
  if (!cookie.isIn(header)) return 'no session, because the request has no such cookie'
  return cookie.read(header, holder instanceof RequestSession ? holder.isPrefixed : undefined).length === 0
    ? 'no session, because the cookie has not the form that this library gives it'
    : 'no session, because the store failed in a read that another request had begun'
}

const WHY_NONE: readonly [reason: string, why: string][] = [
  ['read', 'the store failed'],
  ['unreadable', 'the record cannot be read'],
  ['unknown id', 'the store has no live record for the cookie (it expired, was ended, or lies in another store)'],
  ['signature', 'none of the keys signed the cookie'],
  ['planted', 'the cookie was given out over http, where others can plant it'],
]

const WHY_PASSING = {
  withheld: 'another site began the request, and the browser may have withheld the cookie',
  replaced: 'the id in the cookie was replaced a moment ago',
}

/** Other errors may quote what is somebody's data. */
function wordsOf({ error }: DiagnosticMessage): string {
  return isSessionError(error) ? `: ${error.message}` : ''
}

/** In the words of the channels: `save saved`, `error headers sent`. */
function eventOf({ channel, message }: Heard[number]): string {
  const { outcome, reason } = message
  return [channel, outcome ?? reason].filter(Boolean).join(' ') + wordsOf(message)
}

function cookieSent({ res }: Koa.ParameterizedContext, names: readonly string[]): string[] {
  const values = [res?.getHeader('Set-Cookie') ?? []].flat().flatMap((header) => {
    const [name = '', value = ''] = String(header).split(/[=;]/, 2)
    return names.includes(name) ? [value] : []
  })
  if (values.length === 0) return []
  return [values.every((value) => value === '') ? 'cookie cleared' : 'cookie set']
}
