import { IncomingMessage, ServerResponse } from 'node:http'
import { Duplex } from 'node:stream'

/** What `app.callback()` gives. */
export type Handle = (request: IncomingMessage, response: ServerResponse) => unknown

/** A connection to nowhere. Its cost is in every figure alike. */
class Void extends Duplex {
  override _read(): void {}
  override _write(_chunk: unknown, _encoding: string, done: () => void): void {
    done()
  }
}

/** One whole request in this process: from Node's parsed request to the last byte of the answer, without a socket. */
export function answer(handle: Handle, url: string, cookie = ''): Promise<ServerResponse> {
  return new Promise((resolve) => {
    const socket = new Void()
    const request = new IncomingMessage(socket as never)
    request.method = 'GET'
    request.url = url
    request.httpVersionMajor = request.httpVersionMinor = 1
    request.headers = cookie === '' ? { host: '127.0.0.1' } : { host: '127.0.0.1', cookie }
    const response = new ServerResponse(request)
    response.assignSocket(socket as never)
    response.once('finish', () => {
      response.detachSocket(socket as never)
      resolve(response)
    })
    void handle(request, response)
  })
}

/** What a browser sends after this response: the cookies without their attributes. */
export function cookieOf(response: ServerResponse): string {
  const cookies = response.getHeader('set-cookie') as string[] | undefined
  return (cookies ?? []).map((cookie) => cookie.split(';', 1)[0]).join('; ')
}
