import { createCipheriv, createDecipheriv, hash, randomBytes, type KeyObject } from 'node:crypto'
import { unreadable } from '../errors.ts'
import { objectIn } from '../record/object-in.ts'
import type { Found, Saved, Store } from '../store.ts'
import { settle, type Key } from '../units.ts'

/** A record at rest: which key encrypted it, the nonce, and the text with GCM's tag behind it, both as base64url. */
interface Sealed {
  readonly encrypted: string
  readonly nonce: string
  readonly data: string
}

/**
 * Stands for the text that this process has decrypted already, if the store answers that nothing has changed. It is the
 * text of no encrypted record.
 */
const UNCHANGED = 'unchanged'
const CIPHER = 'aes-256-gcm'
/** NIST SP 800-38D: 96 bits, random for each text. */
const NONCE_BYTES = 12
const TAG_BYTES = 16
const KEY_NAME_LENGTH = 16

/** What `encrypted` adds to a store. */
export interface EncryptedStore extends Store {
  /** The keys from here on, newest first: the first encrypts, all decrypt. */
  use(keys: readonly KeyObject[]): void
  /** What the store behind has found, decrypted. Throws `ERR_SESSION_UNREADABLE`. */
  open(key: Key, found: Found): Found
}

/** A record that this layer has decrypted. */
interface Opened extends Found {
  /** Of the key that encrypted it. */
  readonly sealedBy?: Rank
}

/** Whether the record should be written again, because the key that encrypted it is no longer the newest. */
export function isSealedByOldKey(found: Opened): boolean {
  return found.sealedBy?.isNewest === false
}

/**
 * A store in front of a store that sees only ciphertext: AES-256-GCM, with the record's own key as associated data, so
 * that nobody who can write to the store can put one record in the place of another. What cannot be decrypted, plain
 * records included, is unreadable. The cache lies in front, so a hit costs nothing more.
 *
 * `decrypted`: counts the records that each key has opened, by its index.
 */
export function encrypted(store: Store, decrypted: number[] = []): EncryptedStore {
  let newest: SealingKey | undefined
  let keys = new Map<string, SealingKey>()

  function sealingKey(): SealingKey {
    if (newest) return newest
    throw new Error('The keys are not known yet.')
  }

  function seal(key: Key, text: string, by: SealingKey): string {
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv(CIPHER, by.secret, nonce, { authTagLength: TAG_BYTES }).setAAD(Buffer.from(key))
    const data = Buffer.concat([cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()])
    const sealed: Sealed = {
      encrypted: by.name,
      nonce: nonce.toString('base64url'),
      data: data.toString('base64url'),
    }
    return JSON.stringify(sealed)
  }

  function open(key: Key, found: Found): Opened {
    const { parsed: _, ...rest } = found
    const sealed = sealedOf(found.text)
    const by = sealed && keys.get(sealed.encrypted)
    if (!sealed || !by) throw unreadable(sealed ? 'none of the keys encrypted it' : 'it is not encrypted')
    const text = textOf(key, sealed, by)
    decrypted[by.index] = (decrypted[by.index] ?? 0) + 1
    return { ...rest, text, sealedBy: by.rank }
  }

  return {
    ...store,
    open,
    use(secrets) {
      const before = keys
      for (const { rank } of before.values()) rank.isNewest = false
      keys = new Map()
      for (const [index, secret] of secrets.entries()) {
        const name = nameOf(secret)
        // Of a key that is listed twice, the newer place counts.
        if (keys.has(name)) continue
        const rank = before.get(name)?.rank ?? { isNewest: false }
        rank.isNewest = index === 0
        keys.set(name, { name, secret, index, rank })
      }
      ;[newest] = keys.values()
    },
    load: (key, known) =>
      settle(
        () => store.load(key, known && { ...known, text: UNCHANGED }),
        (found) => {
          if (known && found?.text === UNCHANGED) return { ...known, expiresAt: found.expiresAt }
          return found && open(key, found)
        },
      ),
    save(key, text, expiresAt, expected) {
      const by = sealingKey()
      return settle(
        () => store.save(key, seal(key, text, by), expiresAt, expected),
        (result): Saved => {
          if (result.saved) return { saved: Object.assign({ ...result.saved, text }, { sealedBy: by.rank }) }
          return result.conflict ? { conflict: open(key, result.conflict) } : result
        },
      )
    },
    delete: (key, expected) =>
      settle(
        () => store.delete(key, expected),
        (result) => (typeof result === 'object' ? open(key, result) : result),
      ),
  }
}

interface SealingKey {
  readonly name: string
  readonly secret: KeyObject
  /** Where it stands in the list of keys: 0 is the newest. */
  readonly index: number
  readonly rank: Rank
}

/** Where a key stands by now: the keys may change while a record that it has encrypted is held. */
interface Rank {
  /** Whether the key encrypts what is written now. */
  isNewest: boolean
}

function textOf(key: Key, { nonce, data }: Sealed, { secret }: SealingKey): string {
  try {
    const bytes = Buffer.from(data, 'base64url')
    const decipher = createDecipheriv(CIPHER, secret, Buffer.from(nonce, 'base64url'), { authTagLength: TAG_BYTES })
    decipher.setAAD(Buffer.from(key)).setAuthTag(bytes.subarray(-TAG_BYTES))
    return decipher.update(bytes.subarray(0, -TAG_BYTES), undefined, 'utf8') + decipher.final('utf8')
  } catch {
    throw unreadable('it was changed, or belongs to another session')
  }
}

/** Whether this is the text of an encrypted record. */
export function isEncrypted(text: string): boolean {
  return sealedOf(text) !== undefined
}

/** Tells keys apart, and says nothing of what they are. */
function nameOf(key: KeyObject): string {
  return hash('sha256', key.export(), 'hex').slice(0, KEY_NAME_LENGTH)
}

function sealedOf(text: string): Sealed | undefined {
  const { encrypted, nonce, data } = objectIn(text) ?? {}
  const isSealed = typeof encrypted === 'string' && typeof nonce === 'string' && typeof data === 'string'
  return isSealed ? { encrypted, nonce, data } : undefined
}
