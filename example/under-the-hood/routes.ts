import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Context } from 'koa'
import Router from 'koa-router'
import { getSession, isSessionError, tryGetSessionId, type Key, type Milliseconds } from 'koa-server-session'
import { seeOther, show } from '../answers.ts'
import { allowOwnScript } from '../middleware/security-headers.ts'
import { formToken } from '../services/form-token.ts'
import { currentVisitor } from '../services/visitor.ts'
import { theRest } from './beside.ts'
import { changeKey, race, raceHere, signOutDuringRequest, withoutRedis } from './experiments.ts'
import { Gathering } from './gathering.ts'
import type { Experiment, Journal, Result } from './journal.ts'
import type { Levers } from './levers.ts'
import { EVENTS, HOOD, NOBODY, NUMBER_HEADER, PART, RACE_HEADER, SCRIPT, SLOW, SOMEBODY, STYLE, WHO } from './paths.ts'
import type { RecordReader } from './record.ts'
import type { Streams } from './streams.ts'
import { hoodPage } from './views.ts'

export interface Parts {
  readonly journal: Journal
  readonly reader: RecordReader | undefined
  readonly streams: Streams
  readonly levers: Levers
  /** How long racing requests wait for each other. */
  readonly patience: Milliseconds
}

/** The browser gets them as they are written, so they are beside the sources and not compiled. */
const FILES = join(import.meta.dirname, '../../../example/under-the-hood')

export function hoodRoutes({ journal, reader, streams, levers, patience }: Parts): Router {
  const router = new Router()
  const gathering = new Gathering(patience)

  router.get(HOOD, async (ctx) => {
    const visitor = currentVisitor()
    formToken() // so that there is a session, and an id
    const { id } = getSession()
    const lying = await reader?.read(id).catch(() => 'unknown' as const)
    allowOwnScript(ctx)
    show(ctx, hoodPage(visitor, { chapter: journal.read(id), record: reader && { lying }, levers }))
  })

  router.get(EVENTS, (ctx) => streams.begin(ctx))

  for (const [path, file] of [
    [SCRIPT, 'page.js'],
    [STYLE, 'page.css'],
  ] as const) {
    router.get(path, async (ctx) => {
      ctx.set('Cache-Control', 'public, max-age=300')
      ctx.type = file
      ctx.body = await readFile(join(FILES, file))
    })
  }

  experiment('race', race)
  experiment('sign-out', async (ctx) => {
    const result = await signOutDuringRequest(ctx)
    formToken() // begins the session that comes after it
    return result
  })
  const { rotate, stopRedis } = levers
  if (rotate) experiment('key', (ctx) => changeKey(ctx, rotate))
  if (stopRedis) {
    router.post(`${HOOD}/redis`, async (ctx) => {
      const { id } = getSession()
      await withoutRedis(ctx, stopRedis, (result) => journal.add({ id, result }))
      backTo(ctx, 'redis')
    })
  }

  /** A button of the page. */
  function experiment(name: Experiment, run: (ctx: Context) => Promise<Result>): void {
    router.post(`${HOOD}/${name}`, async (ctx) => {
      const result = await run(ctx)
      journal.add({ id: idNow(), result })
      backTo(ctx, name)
    })
  }

  // What the requests of the experiments do. The site beside does the same: see beside.ts.

  router.post(PART, async (ctx) => {
    const number = ctx.get(NUMBER_HEADER)
    if (!/^\d{1,2}$/.test(number)) return ctx.throw(400)
    await gathering.arrive(ctx.get(RACE_HEADER))
    await raceHere(number)
    ctx.body = 'done'
  })

  router.post(SLOW, async (ctx) => {
    const session: object = getSession()
    await theRest(ctx)
    Object.assign(session, { late: true })
    ctx.body = 'done'
  })

  router.get(WHO, async (ctx) => {
    ctx.body = (await isSomebody()) ? SOMEBODY : NOBODY
  })

  return router
}

function backTo(ctx: Context, experiment: Experiment): void {
  seeOther(ctx, `${HOOD}#${experiment}`)
}

function idNow(): Key {
  return tryGetSessionId() ?? getSession().id
}

/** Past the cache of this process, which may be a moment behind another one. */
async function isSomebody(): Promise<boolean> {
  const session = getSession()
  if (session.isNew) return false
  try {
    await session.update(() => undefined)
    return true
  } catch (error) {
    if (isSessionError(error, 'ERR_SESSION_GONE')) return false
    throw error
  }
}
