import { LRUCache } from 'lru-cache'
import type { Diagnostics } from '../diagnostics.ts'
import { isToken, keyOf } from '../session/token.ts'
import type { Keyring } from './keyring.ts'
import type { Key } from '../units.ts'

/** A cookie that we signed. */
export interface Verified {
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

/** What the browser holds: `<name>=<token>.<signature>`. The signature covers the name, so that no cookie stands in for another. */
export class SessionCookie {
  readonly name: string
  readonly #diagnostics: Diagnostics
  /** `undefined` until the keys are known: see `useKeys`. */
  #keyring: Keyring | undefined
  #valueLength = 0
  readonly #assignment: string
  /** Value with signature to what it means: an HMAC costs a request ten times this look-up. */
  readonly #verified: LRUCache<string, Verified>

  /** `remembered`: how many verified cookies are kept in memory, at about half a kilobyte each. */
  constructor(name: string, diagnostics: Diagnostics, remembered = 10_000) {
    this.#verified = new LRUCache({ max: remembered })
    this.name = name
    this.#diagnostics = diagnostics
    this.#assignment = `${name}=`
  }

  get hasKeys(): boolean {
    return this.#keyring !== undefined
  }

  /** From now on signs with the first of these keys and knows no others. */
  useKeys(keyring: Keyring): void {
    this.#keyring = keyring
    this.#valueLength = lengthOfValues(keyring)
    this.#verified.clear()
  }

  get #keys(): Keyring {
    if (this.#keyring) return this.#keyring
    throw new Error('The signing keys are not known yet.')
  }

  /** Whether the header has a cookie of this name, ours or not. */
  isIn(header: string | undefined): boolean {
    return header !== undefined && this.#nextValue(header, 0) !== undefined
  }

  /** The first few cookies of this name that we signed, in the browser's order. */
  read(header: string | undefined): Verified[] {
    const verified: Verified[] = []
    if (header === undefined) return verified
    for (
      let next = this.#nextValue(header, 0);
      next && verified.length < MAX_VERIFIED;
      next = this.#nextValue(header, next.end)
    ) {
      const cookie = this.#verify(next.value)
      if (cookie && !verified.some(({ token }) => token === cookie.token)) verified.push(cookie)
    }
    return verified
  }

  #nextValue(header: string, from: number): { value: string; end: number } | undefined {
    for (let at = header.indexOf(this.#assignment, from); at !== -1; at = header.indexOf(this.#assignment, at + 1)) {
      let before = at - 1
      while (before >= 0 && isBlank(header[before])) before--
      if (before >= 0 && header[before] !== ';') continue
      const semicolon = header.indexOf(';', at)
      const end = semicolon === -1 ? header.length : semicolon
      return { value: header.slice(at + this.#assignment.length, end).trim(), end }
    }
    return undefined
  }

  #verify(value: string): Verified | undefined {
    // Whatever has not the length and alphabet of ours costs no crypto, and is not worth a word.
    if (value.length !== this.#valueLength || value[TOKEN_LENGTH] !== '.') return undefined
    const known = this.#verified.get(value) // nothing is there if the keys are not fixed
    if (known) return known
    const token = value.slice(0, TOKEN_LENGTH)
    const signature = value.slice(TOKEN_LENGTH + 1)
    if (!isToken(token) || !SIGNATURE.test(signature)) return undefined
    const keyIndex = this.#keys.indexOf(`${this.name}=${token}`, signature)
    if (keyIndex === -1) {
      this.#diagnostics.stats.suspicious++
      this.#diagnostics.report('suspicious', { reason: 'signature' })
      return undefined
    }
    // Copies, because a part of a string keeps the whole of it in memory: here, all cookies that the browser sent.
    const cookie = { token: copyOf(token), key: keyOf(token), keyIndex }
    if (this.#keys.isFixed) this.#verified.set(copyOf(value), cookie)
    return cookie
  }

  /** The cookie's name and value for the response. */
  write(token: string): string {
    return `${this.#assignment}${token}.${this.#keys.sign(`${this.name}=${token}`)}`
  }
}

/** Clients and proxies put blanks between cookies, on either side of the semicolon. */
function isBlank(character: string | undefined): boolean {
  return character === ' ' || character === '\t'
}

function copyOf(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1')
}

function lengthOfValues(keyring: Keyring): number {
  return TOKEN_LENGTH + 1 + keyring.sign('').length
}
