import { once } from 'node:events'
import { request, type ClientRequest, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import type { Context } from 'koa'
import { formToken } from '../services/form-token.ts'
import { TOKEN_HEADER } from '../middleware/forged-forms.ts'

/** A site as one visitor meets it: where it listens, and what the visitor's requests carry. */
export interface Place {
  readonly host: string
  readonly port: number
  readonly headers: Readonly<Record<string, string>>
}

export interface Answer {
  readonly status: number
  readonly text: string
  /** The cookies that it sets, each as `name=value`. */
  readonly cookies: readonly string[]
}

/** A request that stays under way until it is finished. */
export interface Unfinished {
  finish(): Promise<Answer>
}

/** This very site, asked in the name of the visitor who sent this request. */
export function thisSite(ctx: Context): Place {
  const { localAddress = '127.0.0.1', localPort = 80 } = ctx.req.socket
  const proto = ctx.get('X-Forwarded-Proto')
  return {
    host: localAddress,
    port: localPort,
    headers: {
      Host: ctx.get('Host'),
      Cookie: ctx.get('Cookie'),
      [TOKEN_HEADER]: formToken(),
      ...(proto && { 'X-Forwarded-Proto': proto }), // as a proxy would say it once more
    },
  }
}

/** Sends a request over a connection of its own, which any process of the site may get. */
export async function send(
  place: Place,
  method: 'GET' | 'POST',
  path: string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const sending = open(place, method, path, headers)
  sending.end()
  return answerOf(sending)
}

/**
 * Sends the head of a request. Resolves once whoever handles it says that it has begun (the status 102), and then waits
 * for the rest of it.
 */
export async function begin(place: Place, path: string): Promise<Unfinished> {
  const sending = open(place, 'POST', path, { 'Transfer-Encoding': 'chunked' })
  const answer = answerOf(sending)
  answer.catch(() => {}) // asked for later
  sending.flushHeaders()
  await Promise.race([once(sending, 'information'), answer.then(refused)])
  return {
    finish() {
      sending.end()
      return answer
    },
  }
}

function refused({ status }: Answer): never {
  throw new Error(`The request was answered with ${status} before it had begun.`)
}

function open(
  { host, port, headers }: Place,
  method: string,
  path: string,
  more: Record<string, string>,
): ClientRequest {
  return request({ host, port, method, path, agent: false, headers: { ...headers, ...more } })
}

async function answerOf(sending: ClientRequest): Promise<Answer> {
  const [response] = (await once(sending, 'response')) as [IncomingMessage]
  const cookies = (response.headers['set-cookie'] ?? []).map((header) => header.split(';', 1)[0] ?? '')
  return { status: response.statusCode ?? 0, text: await text(response), cookies }
}
