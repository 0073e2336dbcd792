import assert from 'node:assert/strict'
import { tracingChannel } from 'node:diagnostics_channel'
import { after, before, describe, it, type TestContext } from 'node:test'
import { context, SpanStatusCode, trace, type Span, type Tracer } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type ReadableSpan,
} from '@opentelemetry/sdk-trace-base'
import type Koa from 'koa'
import { getSession, type DiagnosticMessage, type SessionOptions } from '../../src/index.ts'
import { companionSite, type CompanionSite } from '../support/sites/companion-site.ts'
import { sessionOf, KEY } from '../support/sites/http.ts'
import { recordingStore } from '../support/stores/recording-store.ts'
import { assertHides } from '../support/secrecy.ts'
import { keysOf } from '../support/stores/stores.ts'
import type { Visitor } from '../support/clients/visitor.ts'

const exporter = new InMemorySpanExporter()
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
const tracer: Tracer = provider.getTracer('tests')

/** All that an application writes to see its sessions among its spans. Returns what undoes it. */
function traceSessions(): () => void {
  const spans = new WeakMap<object, Span>()
  const subscriber = {
    start(message: DiagnosticMessage) {
      spans.set(
        message,
        tracer.startSpan(`session.${message.operation}`, { attributes: { cookie: message.cookieName } }),
      )
    },
    error(message: DiagnosticMessage) {
      spans.get(message)?.recordException(message.error as Error)
      spans.get(message)?.setStatus({ code: SpanStatusCode.ERROR })
    },
    asyncEnd(message: DiagnosticMessage) {
      if (message.outcome) spans.get(message)?.setAttribute('outcome', message.outcome)
      spans.get(message)?.end()
    },
  }
  const channels = ['load', 'save', 'touch', 'destroy', 'regenerate'].map((operation) =>
    tracingChannel(`koa-server-session:${operation}`),
  )
  for (const channel of channels) channel.subscribe(subscriber as never)
  return () => {
    for (const channel of channels) channel.unsubscribe(subscriber as never)
  }
}

/** As the instrumentation of http does it: a span around each request. */
const requestSpan: Koa.Middleware = (ctx, next) =>
  tracer.startActiveSpan(`${ctx.method} ${ctx.path}`, async (span) => {
    try {
      await next()
    } finally {
      span.end()
    }
  })

const PAGES: Koa.Middleware = async (ctx) => {
  if (ctx.path === '/write') sessionOf(ctx)['card'] = CARD
  if (ctx.path === '/login') await getSession().regenerate({ keep: true })
  if (ctx.path === '/update') await getSession().update((newest) => void Object.assign(newest, { updates: 1 }))
  if (ctx.path === '/logout') await getSession().destroy()
  ctx.body = String(sessionOf(ctx)['card'])
}
const CARD = '4000 1234 5678 9010'

describe('OpenTelemetry on the tracing channels', () => {
  let stop: () => void
  before(() => {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
    stop = traceSessions()
  })
  after(() => {
    stop()
    context.disable()
    return provider.shutdown()
  })

  async function tracedSite(test: TestContext, options: SessionOptions = {}): Promise<CompanionSite> {
    exporter.reset()
    return companionSite(test, { cache: false, ...options }, (app, sessions) =>
      app.use(requestSpan).use(sessions).use(PAGES),
    )
  }

  /** The spans of one request, and of nothing else: their names, and what came of each. */
  async function spansOf(visitor: Visitor, path: string): Promise<{ names: string[]; spans: ReadableSpan[] }> {
    exporter.reset()
    await visitor.visit(path)
    const spans = exporter.getFinishedSpans()
    const request = spans.find(({ name }) => name === `GET ${path}`)
    const others = spans.filter((span) => span !== request)
    for (const span of others) assert.equal(span.parentSpanContext?.spanId, request?.spanContext().spanId, span.name)
    return { names: others.map(({ name, attributes }) => `${name} ${attributes['outcome']}`), spans }
  }

  it('shows each operation as a child of its request’s span, with what came of it', async (test) => {
    const { visitor } = await tracedSite(test)
    const ada = visitor()
    assert.deepEqual((await spansOf(ada, '/')).names, [])
    assert.deepEqual((await spansOf(ada, '/write')).names, ['session.save saved'])
    assert.deepEqual((await spansOf(ada, '/')).names, ['session.load found'])
    assert.deepEqual((await spansOf(ada, '/login')).names, [
      'session.load found',
      'session.save saved',
      // In the place of the old record: it was replaced.
      'session.save saved',
      'session.regenerate undefined',
    ])
    // The first request that carries the new cookie says that it has arrived.
    assert.deepEqual((await spansOf(ada, '/')).names, ['session.load found', 'session.save saved'])
    const old = new Map(ada.cookies)
    assert.deepEqual((await spansOf(ada, '/logout')).names, ['session.load found', 'session.destroy destroyed'])
    ada.cookies.set('sid', old.get('sid') ?? '')
    assert.deepEqual((await spansOf(ada, '/')).names, ['session.load missing'])
  })

  it('shows a touch, and that a cache spared the store', async (test) => {
    const { visitor } = await tracedSite(test, { cache: {}, idleTimeout: 120_000 })
    const ada = visitor()
    await spansOf(ada, '/write')
    assert.deepEqual((await spansOf(ada, '/')).names, [])
    const clock = test.mock.method(Date, 'now', () => performance.timeOrigin + performance.now() + 30_000)
    assert.deepEqual((await spansOf(ada, '/')).names, ['session.touch touched'])
    clock.mock.restore()
  })

  it('keeps apart the requests that run at once', async (test) => {
    const { visitor } = await tracedSite(test)
    await Promise.all(Array.from({ length: 10 }, () => visitor().visit('/write')))
    const spans = exporter.getFinishedSpans()
    const requests = new Set(spans.filter(({ name }) => name === 'GET /write').map((span) => span.spanContext().spanId))
    const parents = spans.filter(({ name }) => name === 'session.save').map((span) => span.parentSpanContext?.spanId)
    assert.equal(parents.length, 10)
    assert.deepEqual(new Set(parents), requests)
  })

  it('records a failure of the store as an error of the span', async (test) => {
    const store = recordingStore()
    const { visitor } = await tracedSite(test, { store })
    const ada = visitor()
    await ada.visit('/write')
    store.fail('load', Object.assign(new Error('connect failed'), { code: 'ECONNREFUSED' }))
    const { names, spans } = await spansOf(ada, '/')
    assert.deepEqual(names, ['session.load undefined'])
    const failed = spans.find(({ name }) => name === 'session.load')
    assert.equal(failed?.status.code, SpanStatusCode.ERROR)
    assert.match(String(failed?.events[0]?.attributes?.['exception.message']), /could not be read \(ECONNREFUSED\)/)
  })

  it('shows a conflict between two processes, and that it was settled', async (test) => {
    const store = recordingStore()
    const { visitor } = await tracedSite(test, { store })
    const ada = visitor()
    await ada.visit('/write')
    const held = store.hold('save')
    exporter.reset()
    const updating = ada.visit('/update')
    await held.arrived
    // Another process is faster.
    const [key = ''] = await keysOf(store.elsewhere)
    const found = await store.elsewhere.load(key)
    await store.elsewhere.save(key, found?.text ?? '', Date.now() + 60_000, found)
    held.release()
    await updating
    const saves = exporter.getFinishedSpans().filter(({ name }) => name === 'session.save')
    assert.deepEqual(
      saves.map(({ attributes }) => attributes['outcome']),
      ['conflict', 'saved'],
    )
  })

  it('tells no secret and no data in any span', async (test) => {
    const store = recordingStore()
    const { visitor } = await tracedSite(test, { store })
    const ada = visitor()
    const secrets: string[] = [CARD, KEY]
    for (const path of ['/write', '/', '/login', '/update']) {
      await ada.visit(path)
      secrets.push(...(ada.cookies.get('sid') ?? '').split('.'))
    }
    store.fail('save', new Error('down'))
    ada.cookies.set('sid', `${ada.cookies.get('sid')?.slice(0, 43)}.${'A'.repeat(43)}`)
    await ada.visit('/write')
    const told = exporter
      .getFinishedSpans()
      .map(({ name, attributes, events, status }) => ({ name, attributes, events, status }))
    assert.ok(told.length > 8)
    assertHides(told, ...secrets)
  })
})

describe('without OpenTelemetry', () => {
  it('nobody listens, and nothing is traced', () => {
    assert.equal(tracingChannel('koa-server-session:load').start.hasSubscribers, false)
    assert.equal(trace.getActiveSpan(), undefined)
  })
})
