import { getSession } from 'koa-server-session'
import { findTea, type Tea } from './teas.ts'

/** As it lies in the session: what the visitor chose. Names and prices are looked up when they are shown. */
export interface Cart {
  items: { teaId: string; quantity: number }[]
}

export interface CartLine {
  tea: Tea
  quantity: number
  cents: number
}

const MOST = 99

// Changes go through update(), which runs on the newest state: two tabs that add something at once both succeed.

export function addToCart(teaId: string): Promise<void> {
  return getSession().update((session) => {
    session.cart ??= { items: [] }
    const item = session.cart.items.find((other) => other.teaId === teaId)
    if (item) item.quantity = Math.min(item.quantity + 1, MOST)
    else session.cart.items.push({ teaId, quantity: 1 })
  })
}

/** A quantity of 0 takes the tea out. */
export function setQuantity(teaId: string, quantity: number): Promise<void> {
  return getSession().update(({ cart }) => {
    const index = cart?.items.findIndex((item) => item.teaId === teaId) ?? -1
    const item = cart?.items[index]
    if (!cart || !item) return
    if (quantity > 0) item.quantity = Math.min(quantity, MOST)
    else cart.items.splice(index, 1)
  })
}

export function cartLines(): CartLine[] {
  const items = getSession().cart?.items ?? []
  return items.flatMap(({ teaId, quantity }) => {
    const tea = findTea(teaId)
    return tea ? [{ tea, quantity, cents: tea.cents * quantity }] : []
  })
}

/** How many things are in the cart. */
export function cartSize(): number {
  return cartLines().reduce((sum, { quantity }) => sum + quantity, 0)
}
