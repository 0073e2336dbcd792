import { setCookie, type CheckedCookie } from '../../http/attributes.ts'
import { endOfCookie } from '../../http/renewal.ts'
import { SocketHost } from '../../http/socket-host.ts'
import type { SessionData } from '../../session/data.ts'
import type { Session } from '../../session/types.ts'
import type { Sessions } from '../../sessions.ts'
import type { Instant, Key } from '../../units.ts'
import { fill } from './fill.ts'
import { provedTerms, type Proved } from './proved.ts'
import { partsFor } from './parts.ts'

/** The cookie of a session in the forms that the clients of tests take. */
export interface SignedIn {
  /** The public id of the session, `session.id`. */
  readonly id: Key
  /**
   * The value of the header Cookie, such as `sid=…`. For supertest: `.set('Cookie', ada.cookie)`. If the name depends on
   * the connection (`cookie.name: 'auto'`), the cookie is there under both names.
   */
  readonly cookie: string
  /** The same as headers: `fetch(url, { headers: ada.headers })`, and `.set(ada.headers)` of supertest. */
  readonly headers: { readonly cookie: string }
  /**
   * The value of the header Set-Cookie, for jars of cookies, such as that of a supertest agent:
   * `agent.jar.setCookie(ada.setCookie, '127.0.0.1', '/')`. It is the one that http gets, unless `cookie.secure` is `true`.
   */
  readonly setCookie: string
  /**
   * The cookie for a browser that visits this site: `context.addCookies([ada.cookieFor('http://localhost:3000')])` of
   * Playwright, and the same object for Puppeteer's `setCookie`. Throws a TypeError if the argument is no address.
   */
  cookieFor(site: string): BrowserCookie
}

/** A cookie as Playwright's `addCookies` and Puppeteer's `setCookie` take it. */
export interface BrowserCookie {
  /** The cookie's name on this site, such as `sid`, or `__Host-sid` over https. */
  name: string
  /** The token and its signature. */
  value: string
  /** The host that gets the cookie; with a dot in front, its subdomains too. */
  domain: string
  /** The path that the cookie belongs to. */
  path: string
  /** Always `true`. */
  httpOnly: boolean
  /** Whether the cookie is sent over https only. With `secure: 'auto'`, whether the site is one of https. */
  secure: boolean
  /** As the options of the session say. */
  sameSite: 'Strict' | 'Lax' | 'None'
  /** The cookie's end in Unix seconds, or -1 if the cookie ends with the browser. */
  expires: number
}

/**
 * Stores a session with this data and resolves to its cookie: a visitor whom the application knows, without a form and a
 * password. The data may also be a function that gets the session, for `identify`, `remember` and `flash`:
 *
 * ```ts
 * const ada = await signIn(sessions, { userId: 'ada' })
 * const bob = await signIn(sessions, (session) => {
 *   session.userId = 'bob'
 *   session.identify('bob', 'Firefox on Linux')
 * })
 * ```
 *
 * `{ proved: 'password' }`, or a list of kinds, makes it the session of a visitor who has proved who they are just now, for
 * routes behind `requireProof`.
 *
 * `sessions` is the middleware of the application under test, or one in the process of the test that has the same keys,
 * the same cookie name and the same store. Rejects with `ERR_SESSION_OPTION` if an argument is wrong, or if the keys are
 * the application's and no request has shown them yet, and with the codes of `session.save`.
 */
export async function signIn<Data extends object = SessionData>(
  sessions: Sessions<Data>,
  data: Partial<Data> | ((session: Session<Data>) => void) = {},
  options: Proved = {},
): Promise<SignedIn> {
  const { services } = partsFor('signIn', sessions)
  const terms = provedTerms('signIn', options)
  const { lifecycle, identity, cookie, diagnostics } = services
  const copy = lifecycle.create(new SocketHost(lifecycle, diagnostics, identity.owner), terms)
  copy.demandRecord() // a visitor without data has a session too
  fill('signIn', copy, data)
  await lifecycle.commit(copy)
  return signedIn(
    copy.key,
    (isSecure) => cookie.write(copy.token, cookie.isAuto && isSecure),
    identity.cookie.fixed ?? OF_FUNCTION,
    endOfCookie(copy.record),
  )
}

/** What is known of attributes that depend on the request. */
const OF_FUNCTION: CheckedCookie = { path: '/', secure: 'auto' }

/** `pairFor`: the cookie's name and value, by whether it is Secure. */
function signedIn(
  id: Key,
  pairFor: (isSecure: boolean) => string,
  attributes: CheckedCookie,
  until: Instant | undefined,
): SignedIn {
  const { path, domain, secure, sameSite = 'lax' } = attributes
  const pairs = new Set(secure === 'auto' ? [pairFor(false), pairFor(true)] : [pairFor(secure)])
  const cookie = [...pairs].join('; ')
  return {
    id,
    cookie,
    headers: { cookie },
    setCookie: setCookie(pairFor(secure === true), attributes, secure === true, until),
    cookieFor(site) {
      const { protocol, hostname } = new URL(site)
      const isSecure = secure === 'auto' ? protocol === 'https:' : secure
      const [name = '', value = ''] = pairFor(isSecure).split('=', 2)
      return {
        name,
        value,
        domain: domain === undefined ? hostname : `.${domain.replace(/^\./, '')}`,
        path,
        httpOnly: true,
        secure: isSecure,
        sameSite: SAME_SITE[sameSite],
        expires: until === undefined ? -1 : Math.floor(until / 1000),
      }
    },
  }
}

const SAME_SITE = { strict: 'Strict', lax: 'Lax', none: 'None' } as const
