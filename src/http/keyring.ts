import { createSecretKey, hkdfSync, timingSafeEqual, type KeyObject } from 'node:crypto'
import Keygrip from 'keygrip'
import { SessionError } from '../errors.ts'

/** Signing secrets, newest first; entries that are `undefined` are left out. Or a Keygrip of your own. */
export type Keys = readonly (string | Buffer | undefined)[] | Keygrip

const MIN_KEY_BYTES = 16
const HOW_TO_MAKE_ONE = 'Make one with: npx koa-server-session secret'

/** Signs with the newest key, and tells which key signed. Compatible with Keygrip's SHA-256 signatures. */
export interface Keyring {
  /** Whether the same question always gets the same answer. A Keygrip of the user's may change its keys at any time. */
  readonly isFixed: boolean
  sign(text: string): string
  /** The index of the key that made this signature; -1 if none did. */
  indexOf(text: string, signature: string): number
  /** A 256-bit key for another purpose from each secret, newest first (HKDF, RFC 5869). Throws for a Keygrip, which hides its secrets. */
  derive(purpose: string): KeyObject[]
}

/** Throws `ERR_SESSION_OPTION` that says what to do. No message contains a key. */
export function keyringOf(keys: Keys): Keyring {
  if (isKeygrip(keys)) {
    return {
      isFixed: false,
      sign: (text) => keys.sign(text),
      indexOf: (text, signature) => keys.index(text, signature),
      derive() {
        throw wrong('encrypt needs the secrets themselves: pass keys as a list, not as a Keygrip.')
      },
    }
  }
  if (!Array.isArray(keys)) throw wrong('keys must be a list of secrets, newest first, or a Keygrip.')
  const secrets = keys.flatMap((key: unknown, index) => {
    if (key === undefined) return []
    if (typeof key !== 'string' && !Buffer.isBuffer(key)) throw wrong(`keys[${index}] must be a string or a Buffer.`)
    if (Buffer.byteLength(key) < MIN_KEY_BYTES) {
      throw wrong(
        `keys[${index}] has ${Buffer.byteLength(key)} bytes; a signing secret needs at least ${MIN_KEY_BYTES}. ${HOW_TO_MAKE_ONE}`,
      )
    }
    return createSecretKey(Buffer.from(key))
  })
  // One Keygrip a key, so that verifying is one HMAC and says which key it was; and as a KeyObject, because an HMAC
  // with a Buffer is several times slower on Node 24.
  const signers = secrets.map((secret) => new Keygrip([secret as unknown as string], 'sha256'))
  if (signers.length === 0) throw wrong(`keys holds no secret: is the environment variable set? ${HOW_TO_MAKE_ONE}`)
  return {
    isFixed: true,
    sign: (text) => (signers[0] as Keygrip).sign(text),
    indexOf: (text, signature) => signers.findIndex((signer) => isEqual(signer.sign(text), signature)),
    derive: (purpose) =>
      secrets.map((secret) =>
        createSecretKey(Buffer.from(hkdfSync('sha256', secret, '', `koa-server-session ${purpose}`, 32))),
      ),
  }
}

/** Where there is neither the option nor `app.keys`. */
export function noKeys(): never {
  throw wrong(
    `there are no keys to sign the session cookie with. Pass session({ keys: [secret] }), or set app.keys (of the outermost application, where one is mounted in another). ${HOW_TO_MAKE_ONE}`,
  )
}

/** The same, where `app.keys` cannot be asked yet. */
export function keysNotSeenYet(): SessionError {
  return wrong(
    'sessions.open has no keys to verify cookies with: app.keys is known from the first request on. ' +
      'Pass session({ keys }) instead.',
  )
}

function isKeygrip(keys: Keys): keys is Keygrip {
  const { sign, index } = (keys ?? {}) as Partial<Keygrip>
  return typeof sign === 'function' && typeof index === 'function'
}

function isEqual(signature: string, other: string): boolean {
  return signature.length === other.length && timingSafeEqual(Buffer.from(signature), Buffer.from(other))
}

function wrong(sentence: string): SessionError {
  return new SessionError('ERR_SESSION_OPTION', `koa-server-session: ${sentence}`)
}
