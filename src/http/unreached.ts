import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { ServerResponse } from 'node:http'
import { warn } from '../diagnostics.ts'

/*
 * Before a first request has reached a session middleware, `ctx.session` is not even defined. If a router stands above
 * the middleware, or if `app.use` was forgotten, handlers fail with a bare TypeError and no code of this library runs. So
 * until then Node's own channel is listened to, for a response that failed.
 */

const FINISHED = 'http.server.response.finish'

/** Of this process: whether a middleware was made, and whether a request has reached one. */
let state: 'none made' | 'waiting' | 'reached' = 'none made'

/** Notes that a session middleware was made. */
export function awaitRequests(): void {
  if (state !== 'none made') return
  state = 'waiting'
  subscribe(FINISHED, onFinished)
}

/** Notes that a request has reached a session middleware. */
export function noteRequest(): void {
  if (state === 'reached') return
  state = 'reached'
  unsubscribe(FINISHED, onFinished)
}

function onFinished(message: unknown): void {
  if ((message as { response: ServerResponse }).response.statusCode < 500) return
  noteRequest() // once is enough
  warn(
    'SESSION_NOT_REACHED',
    'A request has failed, and no request has reached the session middleware so far, so ctx.session is undefined. Is ' +
      'app.use(session(…)) missing, or does it stand below the router? It must stand above whatever uses sessions.',
  )
}
