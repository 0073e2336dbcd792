/** Koa 2 under a name of its own, beside Koa 3: for what the tests do with it, the types are the same. */
declare module 'koa2' {
  export { default } from 'koa'
}
