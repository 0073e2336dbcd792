/** koa-csrf brings no types: what the tests use of it. */
declare module 'koa-csrf' {
  import type { Middleware } from 'koa'
  export default function CSRF(options?: { ignoredPathGlobs?: string[] }): Middleware
}
