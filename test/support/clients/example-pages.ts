import assert from 'node:assert/strict'
import type { Reply } from './agent.ts'
import type { Visitor } from './visitor.ts'

export const ADA = { name: 'ada', password: 'analytical engine' }
export const GRACE = { name: 'grace', password: 'first compiler' }

export async function signIn(visitor: Visitor, who: typeof ADA = ADA): Promise<void> {
  await visitor.visit('/sign-in')
  const page = await visitor.submit('/sign-in', who)
  assert.match(page.text, /Welcome, /)
}

export function visits(page: Reply): string | undefined {
  return /id="visits">([^<]*)</.exec(page.text)?.[1]
}

export function notice(page: Reply): string | undefined {
  return /<p class="notice[^>]*>([^<]*)</.exec(page.text)?.[1]
}

/** Quantities by tea. */
export function cart(page: Reply): Record<string, number> {
  const rows = page.text.matchAll(/<span class="leaf (\w+)">(?:(?!<li>).)*?name="quantity"\s+value="(\d+)"/gs)
  return Object.fromEntries([...rows].map(([, tea, quantity]) => [tea, Number(quantity)]))
}
