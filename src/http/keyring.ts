import { createHmac, createSecretKey, hkdfSync, timingSafeEqual, type KeyObject } from 'node:crypto'
import Keygrip from 'keygrip'
import { Checks } from '../checks.ts'
import type { SessionError } from '../errors.ts'

/**
 * Signing secrets, newest first. Entries that are `undefined` or empty are left out, as environment variables are that
 * are not set. Or a Keygrip of your own.
 */
export type Keys = readonly (string | Buffer | undefined)[] | Keygrip

const MIN_KEY_BYTES = 16
const HOW_TO_MAKE_ONE = 'Make one with: npx koa-server-session secret'

// No message shows a value: it may be a secret.
const checks = new Checks('koa-server-session')

/** Signs with the newest key, and tells which key signed. Compatible with Keygrip's SHA-256 signatures. */
export interface Keyring {
  /** Whether the same question always gets the same answer. A Keygrip of the application may change its keys at any time. */
  readonly isFixed: boolean
  sign(text: string): string
  /** The index of the key that made this signature; -1 if none did. */
  indexOf(text: string, signature: string): number
  /**
   * A 256-bit key for another purpose from each secret, newest first (HKDF, RFC 5869). Throws `ERR_SESSION_OPTION` for a
   * Keygrip, which hides its secrets.
   */
  derive(purpose: string): KeyObject[]
}

/** The keyring of these keys. Throws `ERR_SESSION_OPTION` if they cannot sign; no message contains a key. */
export function keyringOf(keys: Keys): Keyring {
  if (isKeygrip(keys)) {
    return {
      isFixed: false,
      sign: (text) => keys.sign(text),
      indexOf: (text, signature) => keys.index(text, signature),
      derive() {
        throw checks.refusal('encrypt needs the secrets themselves: pass keys as a list, not as a Keygrip.')
      },
    }
  }
  if (typeof keys === 'string' || Buffer.isBuffer(keys))
    throw checks.refusal('keys must be a list of secrets, newest first. Write keys: [secret].')
  if (!Array.isArray(keys)) throw checks.wrong('keys', 'must be a list of secrets, newest first, or a Keygrip')
  const secrets = keys.flatMap((key: unknown, index) => {
    if (key === undefined || key === '') return []
    const name = `keys[${index}]`
    if (typeof key !== 'string' && !Buffer.isBuffer(key)) throw checks.wrong(name, 'must be a string or a Buffer')
    if (Buffer.byteLength(key) >= MIN_KEY_BYTES) return createSecretKey(Buffer.from(key))
    const rule = `a signing secret needs at least ${MIN_KEY_BYTES}. ${HOW_TO_MAKE_ONE}`
    throw checks.refusal(`${name} has ${Buffer.byteLength(key)} bytes; ${rule}`)
  })
  const [newest] = secrets
  if (!newest) throw checks.refusal(`keys holds no secret. Is the environment variable set? ${HOW_TO_MAKE_ONE}`)
  // Keygrip decides which key has signed: one for each key tells that. KeyObjects, because an HMAC with a Buffer is
  // several times slower on Node 24.
  const signers = secrets.map((secret) => new Keygrip([secret as unknown as string], 'sha256'))
  return {
    isFixed: true,
    // What Keygrip signs, without its way over base64 and a regular expression, which takes a third longer.
    sign: (text) => createHmac('sha256', newest).update(text).digest('base64url'),
    indexOf: (text, signature) => signers.findIndex((signer) => isEqual(signer.sign(text), signature)),
    derive: (purpose) =>
      secrets.map((secret) =>
        createSecretKey(Buffer.from(hkdfSync('sha256', secret, '', `koa-server-session ${purpose}`, 32))),
      ),
  }
}

/** Throws, because there is neither the option `keys` nor `app.keys`. */
export function noKeys(): never {
  throw checks.refusal(
    'there are no keys to sign the session cookie with. Pass session({ keys: [secret] }), or set app.keys (of the ' +
      `outermost application, if one is mounted in another). ${HOW_TO_MAKE_ONE}`,
  )
}

/** The error of an operation of `sessions` that needs the keys while `app.keys` cannot be asked. */
export function keysNotSeenYet(method: string): SessionError {
  return checks.refusal(
    `${method} has no keys yet: app.keys is known from the first request on. Pass session({ keys }) instead.`,
  )
}

function isKeygrip(keys: Keys): keys is Keygrip {
  const { sign, index } = (keys ?? {}) as Partial<Keygrip>
  return typeof sign === 'function' && typeof index === 'function'
}

function isEqual(signature: string, other: string): boolean {
  return signature.length === other.length && timingSafeEqual(Buffer.from(signature), Buffer.from(other))
}
