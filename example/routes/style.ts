import Router from 'koa-router'
import { STYLE } from '../views/style.ts'

export const STYLE_PATH = '/style.css'

export const styleRoutes: Router = new Router()

styleRoutes.get(STYLE_PATH, (ctx) => {
  ctx.set('Cache-Control', 'public, max-age=300')
  ctx.type = 'css'
  ctx.body = STYLE
})
