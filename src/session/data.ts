/**
 * The data of your sessions. Describe it once, by declaration merging, and every session in the application is typed:
 *
 * ```ts
 * declare module 'koa-server-session' {
 *   interface SessionData { userId?: string; views?: number }
 * }
 * ```
 *
 * Properties should be optional, because a new session has none.
 */
export interface SessionData {}
