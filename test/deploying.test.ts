import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import { request } from 'node:https'
import { join, resolve } from 'node:path'
import { PassThrough } from 'node:stream'
import { after, before, describe, it } from 'node:test'
import Koa from 'koa'
import { parse, parseAllDocuments } from 'yaml'
import { DEFAULT_DEADLINE } from '../src/deadline.ts'
import { session } from '../src/index.ts'
import { readPage } from './support/documents/pages.ts'
import { requires as nginx } from './support/proxies/caching-proxy.ts'
import { selfSigned } from './support/proxies/self-signed.ts'
import { commandOf } from './support/servers/requirement.ts'
import { freePort, startServer, type ServerProcess } from './support/servers/server-process.ts'
import { KEY, LASTING, sessionOf } from './support/sites/http.ts'
import { temporaryDirectory } from './support/temporary-directory.ts'

const page = readPage(resolve(import.meta.dirname, '../..'), 'docs/deploying.md')

/** The text of a file that the page shows. */
function shown(name: string): string {
  const block = page.blocks.find(({ file }) => file === name)
  assert.ok(block, `the page shows ${name}`)
  return block.code
}

interface Service {
  readonly environment?: Record<string, string>
  readonly depends_on?: object
  readonly volumes?: string[]
  readonly healthcheck?: object
}

interface Variable {
  readonly name: string
  readonly value?: string
  readonly valueFrom?: object
}

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: number }
  readonly timeoutSeconds?: number
}

interface Container {
  readonly ports: { containerPort: number }[]
  readonly env: Variable[]
  readonly livenessProbe: Probe
  readonly readinessProbe: Probe
}

describe('the files of the page about deploying', () => {
  const app = shown('app.js')
  const [, variables = ''] = /const \{ (.+) \} = process\.env/.exec(app) ?? []
  const port = Number(/\bPORT = '(\d+)'/.exec(variables)?.[1])
  // PORT has a default that all of them use.
  const names = variables.split(', ').filter((name) => !name.startsWith('PORT'))
  const compose = parse(shown('compose.yaml')) as { services: Record<string, Service>; volumes: object }
  const [deployment, service] = parseAllDocuments(shown('kubernetes.yaml')).map((document) => {
    assert.deepEqual([document.errors, document.warnings], [[], []])
    return document.toJS() as { spec: unknown }
  })
  const { template } = (deployment?.spec ?? {}) as {
    template: { metadata: { labels: object }; spec: { containers: [Container] } }
  }
  const [container] = template.spec.containers

  it('give the program every variable that it reads, as text, and no other', () => {
    assert.ok(names.length > 3)
    const environment = compose.services['app']?.environment ?? {}
    assert.deepEqual(Object.keys(environment).toSorted(), names.toSorted())
    for (const value of Object.values(environment)) assert.equal(typeof value, 'string')
    assert.deepEqual(container.env.map(({ name }) => name).toSorted(), names.toSorted())
    for (const { value, valueFrom } of container.env) assert.ok(typeof value === 'string' || valueFrom)
  })

  it('find the program at the port at which it listens', () => {
    assert.match(shown('Dockerfile'), new RegExp(`^EXPOSE ${port}$`, 'm'))
    assert.match(shown('nginx.conf'), new RegExp(`^ *server app:${port};$`, 'm'))
    const { containerPort } = container.ports[0] as Container['ports'][0]
    const { ports, selector } = (service?.spec ?? {}) as { ports: { targetPort: number }[]; selector: object }
    const probed = [container.livenessProbe, container.readinessProbe].map(({ httpGet }) => httpGet.port)
    assert.deepEqual([containerPort, ports[0]?.targetPort, ...probed], [port, port, port, port])
    assert.deepEqual(selector, template.metadata.labels)
  })

  it('ask for the health of the program where it tells, and wait for the answer', () => {
    const { livenessProbe, readinessProbe } = container
    const played = page.blocks.filter(({ language }) => language === 'console').map(({ code }) => code)
    for (const { httpGet } of [livenessProbe, readinessProbe]) {
      assert.ok(app.includes(`'${httpGet.path}'`))
      assert.ok(played.some((code) => code.includes(`:${port}${httpGet.path}\n`)))
    }
    assert.ok((readinessProbe.timeoutSeconds ?? 1) * 1000 > DEFAULT_DEADLINE)
  })

  it('start the file that the page shows, as the process that hears SIGTERM', () => {
    const [, files = ''] = /^COPY (\S+) \.\/\nUSER/m.exec(shown('Dockerfile')) ?? []
    const [, command = ''] = /^CMD (\[.*\])$/m.exec(shown('Dockerfile')) ?? []
    assert.deepEqual(JSON.parse(command), ['node', files])
    assert.ok(shown(files).includes("once(process, 'SIGTERM')"))
  })

  it('name services, files and volumes that there are', () => {
    const { services, volumes } = compose
    const [, host = ''] = /redis:\/\/(\w+):/.exec(services['app']?.environment?.['SESSION_STORE'] ?? '') ?? []
    const [, upstream = ''] = /^ *server (\w+):/m.exec(shown('nginx.conf')) ?? []
    const needed = Object.values(services).flatMap(({ depends_on: on = [] }) =>
      Array.isArray(on) ? (on as string[]) : Object.keys(on),
    )
    for (const name of [host, upstream, ...needed]) assert.ok(services[name], name)
    assert.ok(services['redis']?.healthcheck, 'app waits until it is healthy')
    const mounted = Object.values(services).flatMap(({ volumes: own = [] }) => own.map((volume) => volume.split(':')))
    assert.ok(mounted.some(([from, to]) => from === './nginx.conf' && to === '/etc/nginx/nginx.conf'))
    for (const [from = ''] of mounted) assert.ok(from.startsWith('./') || from in volumes, from)
    const folder = /^ *ssl_certificate (\w+)\//m.exec(shown('nginx.conf'))?.[1]
    assert.ok(mounted.some(([from, to]) => from === `./${folder}` && to === `/etc/nginx/${folder}`))
  })
})

describe('nginx, as the page about deploying sets it up,', () => {
  let port: number
  let certificate: string
  let proxy: ServerProcess | undefined
  const sessions = session({ keys: [KEY], store: 'memory:' })
  // As the program of the page is made.
  const app = new Koa({ proxy: true, maxIpsCount: 1 })
  app.use(sessions)
  app.use((ctx) => {
    if (ctx.path === '/events') {
      const stream = new PassThrough()
      stream.write('data: at once\n\n') // and never ends by itself
      ctx.set('X-Accel-Buffering', 'no')
      ctx.type = 'text/event-stream'
      ctx.body = stream
      return
    }
    sessionOf(ctx)['visited'] = true
    ctx.body = { ip: ctx.ip, host: ctx.host, connection: ctx.get('connection') }
  })
  app.silent = true
  const server = app.listen(0, '127.0.0.1')
  Object.assign(server, LASTING)
  server.on('upgrade', (_request, socket) => {
    socket.on('error', () => {})
    socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello')
  })

  before(async () => {
    port = await freePort()
    const directory = temporaryDirectory('deploying')
    mkdirSync(join(directory, 'certificates'))
    const { key, cert } = await selfSigned('shop.test')
    certificate = cert
    writeFileSync(join(directory, 'certificates/shop.key'), key)
    writeFileSync(join(directory, 'certificates/shop.crt'), cert)
    const upstream = (server.address() as { port: number }).port
    // What belongs to this machine: its ports, its user, its one process.
    const here = `client_body_temp_path body; proxy_temp_path temp; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
      scgi_temp_path scgi; access_log off;`
    const text = shown('nginx.conf')
      .replace('listen 443', `listen 127.0.0.1:${port}`)
      .replace('server app:3000', `server 127.0.0.1:${upstream}`)
      .replace('http {', `http { ${here}`)
    const configuration = join(directory, 'nginx.conf')
    writeFileSync(configuration, `daemon off; master_process off; pid nginx.pid;\n${text}`)
    const command = [commandOf(nginx), '-p', directory, '-c', configuration, '-e', 'stderr']
    proxy = await startServer({ command, directory, port })
  })

  after(async () => {
    await proxy?.kill()
    server.close()
    server.closeAllConnections()
    await sessions.close()
  })

  /** What a visitor is answered, who knows the certificate's authority. */
  async function visit(path: string, headers: OutgoingHttpHeaders = {}): Promise<IncomingMessage> {
    const asked = request({ port, path, headers, ca: certificate, servername: 'shop.test', agent: false }).end()
    const [response] = (await Promise.race([once(asked, 'response'), once(asked, 'upgrade')])) as [IncomingMessage]
    return response
  }

  async function pageOf(headers: OutgoingHttpHeaders): Promise<Record<string, string>> {
    const response = await visit('/', headers)
    let text = ''
    for await (const piece of response.setEncoding('utf8')) text += piece as string
    return JSON.parse(text) as Record<string, string>
  }

  it('lets the program see https, so that the cookie is Secure and has the name for https', async () => {
    const { headers } = (await visit('/')).resume()
    assert.match(headers['set-cookie']?.[0] ?? '', /^__Host-sid=.*; Secure/i)
  })

  it('tells the program itself how and from where a visitor came, whatever the visitor says', async () => {
    const forged = { 'x-forwarded-proto': 'http', 'x-forwarded-for': '203.0.113.9' }
    const { headers } = (await visit('/', forged)).resume()
    assert.match(headers['set-cookie']?.[0] ?? '', /^__Host-sid=.*; Secure/i)
    assert.equal((await pageOf(forged))['ip'], '127.0.0.1')
  })

  it('leaves the host as the visitor wrote it, with its port', async () => {
    assert.equal((await pageOf({ host: 'shop.test:8443' }))['host'], 'shop.test:8443')
  })

  it('hands a stream on as it comes', async () => {
    const response = await visit('/events')
    const [piece] = (await once(response, 'data')) as [Buffer]
    assert.equal(piece.toString(), 'data: at once\n\n')
    response.destroy()
  })

  it('lets sockets be upgraded, and keeps connections of everything else', async () => {
    const response = await visit('/', { connection: 'Upgrade', upgrade: 'websocket' })
    assert.equal(response.statusCode, 101)
    response.socket.destroy()
    assert.equal((await pageOf({}))['connection'], '')
  })
})
