import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import Koa from 'koa'
import { session, type CookieOptions } from '../../../src/index.ts'
import { LASTING, sessionOf } from './http.ts'
import { httpsProxy } from '../proxies/https-proxy.ts'

/**
 * A site that counts the page views of each visitor, to see what a browser makes of a cookie. It answers to any host, so
 * that the browser takes `shop.test` and `other.test` for two sites. What another site may do is in `/elsewhere?to=…`, a
 * link, a form and an image, and in `/around?to=…`, a frame.
 */
export interface CookieSite {
  /** The address of a path at a host. */
  http(host: string, path?: string): string
  https(host: string, path?: string): string
  /** Each request of the counting site so far, such as `POST / with its cookie`. */
  readonly requests: string[]
  stop(): Promise<void>
}

export async function cookieSite(cookie: CookieOptions): Promise<CookieSite> {
  const requests: string[] = []
  const app = new Koa({ proxy: true })
  app.silent = true
  app.use((ctx, next) => {
    const to = String(ctx.query['to'])
    if (ctx.path === '/favicon.ico') ctx.status = 204
    else if (ctx.path === '/elsewhere') ctx.body = elsewhere(to)
    else if (ctx.path === '/around') ctx.body = `<!doctype html><title>Around</title><iframe src="${to}"></iframe>`
    else return next()
  })
  app.use((ctx, next) => {
    requests.push(`${ctx.method} ${ctx.path} ${ctx.get('cookie') ? 'with' : 'without'} its cookie`)
    return next()
  })
  const sessions = session({ keys: ['a key for the cookies of this test'], store: 'memory:', cookie })
  app.use(sessions)
  app.use((ctx) => {
    if (ctx.path === '/write' || ctx.path === '/image') sessionOf(ctx)['written'] = true
    if (ctx.path !== '/' || ctx.method !== 'GET') return void (ctx.body = 'done')
    const visitor = sessionOf(ctx)
    visitor['views'] = Number(visitor['views'] ?? 0) + 1
    ctx.body = `<!doctype html><title>Shop</title><h1>${String(visitor['views'])}</h1><a href="/">Again</a>`
  })
  const server = createServer(LASTING, app.callback()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const proxy = await httpsProxy(`http://127.0.0.1:${port}`)
  return {
    http: (host, path = '/') => `http://${host}:${port}${path}`,
    https: (host, path = '/') => `https://${host}:${new URL(proxy.url).port}${path}`,
    requests,
    async stop() {
      await proxy.stop()
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
      await sessions.close()
    },
  }
}

function elsewhere(to: string): string {
  return `<!doctype html><title>Elsewhere</title><h1>Elsewhere</h1>
    <a href="${to}">Link</a> <form method="post" action="${to}"><button>Send</button></form>
    <img src="${new URL('/image', to).href}" alt="">`
}
