import { getSession } from 'koa-server-session'

/** Counts a visit, and resolves to how many there have been. Knows nothing of Koa, ctx or cookies. */
export function countVisit(): Promise<number> {
  // Exact, however many tabs the visitor opens at once. Where a lost count is no matter, this would do, and be saved
  // with the rest: session.visits = (session.visits ?? 0) + 1
  return getSession().update((session) => (session.visits = (session.visits ?? 0) + 1))
}
