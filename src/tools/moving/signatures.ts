import { createHmac, timingSafeEqual } from 'node:crypto'
import Keygrip from 'keygrip'
import type { Checks } from '../../checks.ts'

/** Whether the signature of this text is right. */
export type Verify = (text: string, signature: string) => boolean

/** The signatures of `app.keys`, which the package `cookies` makes: by a Keygrip, SHA-1 if nobody says otherwise. */
export function signedByKoa(checks: Checks, keys: unknown): Verify {
  const isKeygrip = typeof (keys as Partial<Keygrip> | null)?.verify === 'function'
  const keygrip = isKeygrip ? (keys as Keygrip) : new Keygrip(secretsIn(checks, 'keys', keys))
  return (text, signature) => keygrip.verify(text, signature)
}

/** The signatures of the package `cookie-signature`, as express-session uses it. */
export function signedByExpress(checks: Checks, secret: unknown): Verify {
  const secrets = secretsIn(checks, 'secret', typeof secret === 'string' ? [secret] : secret)
  return (text, signature) =>
    secrets.some((one) =>
      isEqual(createHmac('sha256', one).update(text).digest('base64').replace(/=+$/, ''), signature),
    )
}

/** The signatures of itsdangerous, as Flask-Session uses it. */
export function signedByFlask(checks: Checks, secretKey: unknown): Verify {
  const secrets = secretsIn(checks, 'secretKey', typeof secretKey === 'string' ? [secretKey] : secretKey)
  const keys = secrets.map((secret) => createHmac('sha1', secret).update('flask-session').digest())
  return (text, signature) =>
    keys.some((key) => isEqual(createHmac('sha1', key).update(text).digest('base64url'), signature))
}

/** No message shows a secret. */
function secretsIn(checks: Checks, option: string, secrets: unknown): string[] {
  const isSecret = (secret: unknown): boolean =>
    (typeof secret === 'string' && secret !== '') || Buffer.isBuffer(secret)
  if (!Array.isArray(secrets) || secrets.length === 0 || !secrets.every(isSecret))
    throw checks.refusal(`${option} must be the secrets that the old library signs its cookie with.`)
  return secrets as string[]
}

function isEqual(signature: string, other: string): boolean {
  const [one, two] = [Buffer.from(signature), Buffer.from(other)]
  return one.length === two.length && timingSafeEqual(one, two)
}
