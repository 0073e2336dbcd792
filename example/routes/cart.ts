import Router from 'koa-router'
import { addToCart, cartLines, setQuantity } from '../services/cart.ts'
import { notify } from '../services/notices.ts'
import { findTea } from '../services/teas.ts'
import { currentVisitor } from '../services/visitor.ts'
import { cartPage } from '../views/cart.ts'
import { field, seeOther, show } from '../answers.ts'

export const cartRoutes: Router = new Router({ prefix: '/cart' })

cartRoutes.get('/', (ctx) => {
  show(ctx, cartPage(currentVisitor(), cartLines()))
})

cartRoutes.post('/add', async (ctx) => {
  const tea = findTea(field(ctx, 'tea'))
  if (!tea) return ctx.throw(404)
  await addToCart(tea.id)
  notify(`${tea.name} is in your cart.`)
  seeOther(ctx, '/cart')
})

cartRoutes.post('/quantity', async (ctx) => {
  const quantity = Number(field(ctx, 'quantity'))
  if (Number.isInteger(quantity) && quantity >= 0) await setQuantity(field(ctx, 'tea'), quantity)
  else notify('A quantity is a whole number.', 'problem')
  seeOther(ctx, '/cart')
})

cartRoutes.post('/remove', async (ctx) => {
  await setQuantity(field(ctx, 'tea'), 0)
  seeOther(ctx, '/cart')
})
