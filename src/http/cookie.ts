import { LRUCache } from 'lru-cache'
import type { Diagnostics } from '../diagnostics.ts'
import { isToken, keyOf } from '../session/token.ts'
import { nextValue } from './cookie-header.ts'
import { cookieNames, type CookieNames, type NamedCookie } from './cookie-names.ts'
import type { Keyring } from './keyring.ts'
import type { Key } from '../units.ts'

/** A cookie that we signed. */
export interface Verified {
  /** The cookie's name; empty if it was made of another library's, and the browser does not have it. */
  readonly name: string
  readonly token: string
  readonly key: Key
  /** Which of the keys signed it: 0 is the newest. */
  readonly keyIndex: number
}

/**
 * How many cookies of its name a session is looked for with: a browser may send several, from several paths or domains.
 * Forgeries do not count, however many there are, so that they cannot push out the real one.
 */
const MAX_VERIFIED = 4
const TOKEN_LENGTH = 43
const SIGNATURE = /^[A-Za-z0-9_-]+$/
/** How many verified cookies are kept in memory, at about half a kilobyte each. */
const MAX_KNOWN = 10_000
/** 72 random bits of a value: enough to tell cookies apart, and much quicker to hash than the whole value. */
const HANDLE_LENGTH = 12

/** A cookie that we signed, and what its signature covers before the token. */
interface Known extends Verified {
  readonly label: string
}

/** A value with its signature, and what it means. */
interface Remembered {
  readonly value: string
  readonly cookie: Known
}

/**
 * What the browser holds: `<name>=<token>.<signature>`. The signature covers the name, so that no cookie stands in for
 * another.
 */
export class SessionCookie {
  /** The name that subjects, counters and messages know the cookie by; with `isAuto`, the one without the prefix. */
  readonly name: string
  /** Whether the name has the prefix `__Host-` if browsers keep it: see `cookieNames`. */
  readonly isAuto: boolean
  readonly #names: CookieNames
  readonly #diagnostics: Diagnostics
  /** `undefined` until the keys are known: see `useKeys`. */
  #keyring: Keyring | undefined
  #valueLength = 0
  /** What was verified, by the handle of its value: an HMAC costs a request forty times this look-up. */
  readonly #known = new LRUCache<string, Remembered>({ max: MAX_KNOWN })

  constructor(name: string, diagnostics: Diagnostics, isAuto = false) {
    this.name = name
    this.isAuto = isAuto
    this.#names = cookieNames(name, isAuto)
    this.#diagnostics = diagnostics
  }

  get hasKeys(): boolean {
    return this.#keyring !== undefined
  }

  /** All names that the cookie may have. */
  get names(): readonly string[] {
    return this.#names.all
  }

  /** From now on signs with the first of these keys and knows no others. */
  useKeys(keyring: Keyring): void {
    this.#keyring = keyring
    this.#valueLength = lengthOfValues(keyring)
    this.#known.clear()
  }

  get #keys(): Keyring {
    if (this.#keyring) return this.#keyring
    throw new Error('The signing keys are not known yet.')
  }

  /** Whether the header has a cookie of any of the names, ours or not. */
  isIn(header: string | undefined): boolean {
    return header !== undefined && this.names.some((name) => nextValue(header, `${name}=`, 0) !== undefined)
  }

  /** Whether the header has a cookie that we signed under the name without the prefix. */
  isLeftIn(header: string | undefined): boolean {
    return header !== undefined && this.#readNamed(header, this.#names.plain).length > 0
  }

  /**
   * The first few cookies that we signed, in the browser's order, all of one name: if there are some with the prefix,
   * those without it are not looked at. `isPrefixed`: whether the browser keeps the cookie with the prefix on this
   * connection; `undefined` if nobody knows.
   */
  read(header: string | undefined, isPrefixed?: boolean): Verified[] {
    if (header === undefined) return []
    for (const named of this.#names.read(isPrefixed)) {
      const verified = this.#readNamed(header, named)
      if (verified.length > 0) return verified
    }
    return []
  }

  /**
   * What `read` would give, if that is one cookie that was verified before and stands in the header as browsers write it,
   * as in most requests. `undefined` says nothing.
   */
  known(header: string, isPrefixed?: boolean): Verified | undefined {
    for (const { assignment, accepted } of this.#names.read(isPrefixed)) {
      const at = header.indexOf(assignment)
      if (at === -1) continue
      if (at > 0 && !header.startsWith('; ', at - 2)) return undefined
      const start = at + assignment.length
      const end = start + this.#valueLength
      const known = this.#remembered(header.slice(start, end))
      const isAlone = end >= header.length || (header[end] === ';' && header.indexOf(assignment, end) === -1)
      return known && isAlone && accepted.includes(known.label) ? known : undefined
    }
    return undefined
  }

  #readNamed(header: string, named: NamedCookie): Verified[] {
    const verified: Verified[] = []
    for (
      let next = nextValue(header, named.assignment, 0);
      next && verified.length < MAX_VERIFIED;
      next = nextValue(header, named.assignment, next.end)
    ) {
      const cookie = this.#verify(next.value, named)
      if (cookie && !verified.some(({ token }) => token === cookie.token)) verified.push(cookie)
    }
    return verified
  }

  #verify(value: string, named: NamedCookie): Verified | undefined {
    // Whatever has not the length and alphabet of ours costs no crypto, and is not worth a word.
    if (value.length !== this.#valueLength || value[TOKEN_LENGTH] !== '.') return undefined
    const known = this.#remembered(value) ?? this.#recognize(value, named)
    if (known && named.accepted.includes(known.label)) return known
    if (known === undefined) return undefined
    this.#suspect('planted')
    return undefined
  }

  /** What a value under this name means; `undefined` if it is not signed by us. */
  #recognize(value: string, { name, accepted, refused }: NamedCookie): Known | undefined {
    const token = value.slice(0, TOKEN_LENGTH)
    const signature = value.slice(TOKEN_LENGTH + 1)
    if (!isToken(token) || !SIGNATURE.test(signature)) return undefined
    for (const label of [...accepted, ...refused]) {
      const keyIndex = this.#keys.indexOf(`${label}=${token}`, signature)
      if (keyIndex === -1) continue
      // Copies, because a part of a string keeps the whole of it in memory: here, all cookies that the browser sent.
      const cookie = { name, token: copyOf(token), key: keyOf(token), keyIndex, label }
      this.#remember(copyOf(value), cookie)
      return cookie
    }
    this.#suspect('signature')
    return undefined
  }

  #remembered(value: string): Known | undefined {
    const remembered = this.#known.get(value.slice(0, HANDLE_LENGTH))
    // What has the same handle may still be another value.
    return remembered?.value === value ? remembered.cookie : undefined
  }

  #remember(value: string, cookie: Known): void {
    if (this.#keys.isFixed) this.#known.set(value.slice(0, HANDLE_LENGTH), { value, cookie })
  }

  #suspect(reason: string): void {
    this.#diagnostics.stats.suspicious++
    this.#diagnostics.report('suspicious', { reason })
  }

  nameFor(isPrefixed: boolean): string {
    return this.#names.nameFor(isPrefixed)
  }

  /** The cookie's name and value for the response. `key`: the token's, if it is at hand. */
  write(token: string, isPrefixed = false, key: Key = keyOf(token)): string {
    const label = this.#names.labelFor(isPrefixed)
    const name = this.nameFor(isPrefixed)
    const value = `${token}.${this.#keys.sign(`${label}=${token}`)}`
    // The browser brings it back with its next request, which then has nothing to verify.
    this.#remember(copyOf(value), { name, token, key, keyIndex: 0, label })
    return `${name}=${value}`
  }
}

function copyOf(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1')
}

function lengthOfValues(keyring: Keyring): number {
  return TOKEN_LENGTH + 1 + keyring.sign('').length
}
