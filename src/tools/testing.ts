/**
 * For the tests of an application: sessions without signing in by hand, a look into a session, and sessions for services
 * that know no request.
 *
 * @module
 */
export { fakeSession } from './testing/fake-session.ts'
export type { Proved } from './testing/proved.ts'
export { readSession } from './testing/read-session.ts'
export { signIn, type BrowserCookie, type SignedIn } from './testing/sign-in.ts'
