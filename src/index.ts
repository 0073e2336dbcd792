export { SessionError, isSessionError, type SessionErrorCode } from './errors.ts'
export type { Found, Link, Listener, Saved, Store, Watch } from './store.ts'
export type { Awaitable, Instant, Key, Milliseconds, Version } from './units.ts'
