import Router from 'koa-router'
import { isSessionError } from 'koa-server-session'
import { TEAS } from '../services/teas.ts'
import { currentVisitor } from '../services/visitor.ts'
import { countVisit } from '../services/visits.ts'
import { homePage, type Personal } from '../views/home.ts'
import { show } from '../answers.ts'

export const homeRoutes: Router = new Router()

homeRoutes.get('/', async (ctx) => {
  show(ctx, homePage(TEAS, await personalPart()))
})

/** `undefined` while the session store is down: this page is worth showing without. */
async function personalPart(): Promise<Personal | undefined> {
  try {
    return { visitor: currentVisitor(), visits: await countVisit() }
  } catch (error) {
    if (isSessionError(error, 'ERR_SESSION_STORE_UNAVAILABLE')) return undefined
    throw error
  }
}
