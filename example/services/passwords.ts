import { randomBytes, scrypt, timingSafeEqual, type ScryptOptions } from 'node:crypto'
import { promisify } from 'node:util'

const derive = promisify<string, Buffer, number, ScryptOptions, Buffer>(scrypt)

const BYTES = 32
/** OWASP's advice for scrypt with 32 MiB; `maxmem` leaves some room for it. */
const COST: ScryptOptions = { N: 2 ** 15, r: 8, p: 3, maxmem: 64 * 1024 * 1024 }

/** What to keep instead of the password: `<salt>.<hash>`. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16)
  const hash = await derive(password, salt, BYTES, COST)
  return `${salt.toString('base64url')}.${hash.toString('base64url')}`
}

/** Takes the same time whether or not it is the password. */
export async function isPassword(password: string, kept: string): Promise<boolean> {
  const [salt = '', hash = ''] = kept.split('.')
  const expected = Buffer.from(hash, 'base64url')
  const actual = await derive(password, Buffer.from(salt, 'base64url'), BYTES, COST)
  return expected.length === BYTES && timingSafeEqual(expected, actual)
}
