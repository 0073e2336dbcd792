import { existsSync } from 'node:fs'
import { Diagnostics } from '../diagnostics.ts'
import { isEncrypted } from '../layers/encrypted.ts'
import { storeStack } from '../layers/stack.ts'
import { SessionError, isSessionError } from '../errors.ts'
import { keyringOf } from '../http/keyring.ts'
import type { Found, Store } from '../store.ts'
import { isRoot } from '../stores/file/root.ts'
import { isSqlStore, type SqlStore } from '../stores/sql/store.ts'
import { DEFAULT_STORE, databaseOfUrl, directoryOfUrl, patientStoreFromUrl } from '../stores/url.ts'
import { subjectNames } from '../session/subject-names.ts'
import { Subjects } from '../session/subjects.ts'
import type { HowToOpen, Values } from './command.ts'
import { wrong } from './usage.ts'
import type { Key, Milliseconds } from '../units.ts'

/** A person or a nightly job waits longer than a request does. */
const PATIENCE: Milliseconds = 10_000

/** A store as the command uses it: through the library's own layers, without the cache. */
export interface OpenStore {
  /** Its URL without secrets. */
  readonly name: string
  readonly store: Store
  /** The same store, with records as they are stored, encrypted or not. */
  readonly raw: Store
  readonly subjects: Subjects
  /** Whether `subjects` knows an application's index of its users; if not, all records have to be looked at. */
  readonly hasIndex: boolean
  /** The store's tables; absent if it has none. */
  readonly tables: Pick<SqlStore, 'migrate' | 'schema'> | undefined
  /** Closes the store. A prune under way stops. A second call does nothing. */
  close(): Promise<void>
}

/** A record, and its length in bytes in the store. */
export interface StoredFound extends Found {
  readonly bytes: number
  readonly isEncrypted: boolean
  /** Why the record is still encrypted; absent if it is not. */
  readonly whyEncrypted?: string
}

/**
 * Opens the store, and makes none, unless it is `forMaking` or `isNew`. `cookie`: the application's `cookie.name`. Throws
 * `ERR_SESSION_OPTION` if the URL is wrong, or if there is a cookie's name and no key; and
 * `ERR_SESSION_STORE_UNAVAILABLE` if there is no directory, or no file of SQLite, at the URL.
 */
export function openStore(
  { store: given, cookie }: Pick<Values, 'store' | 'cookie'>,
  { SESSION_STORE, SESSION_KEY, SESSION_KEY_OLD }: NodeJS.ProcessEnv,
  { url: named, forMaking = false, isNew = false }: HowToOpen = {},
): OpenStore {
  const url = named ?? given ?? SESSION_STORE ?? DEFAULT_STORE
  if (/^(?:memory|null)\b/i.test(url)) throw insideOnly(url)
  const directory = directoryOfUrl(url)
  if (directory !== undefined && !isNew && !isRoot(directory)) throw noStoreThere(directory)
  const database = databaseOfUrl(url)
  if (database !== undefined && !forMaking && !isNew && !existsSync(database)) throw noFileThere(database)
  const opened = patientStoreFromUrl(url, PATIENCE)
  const keyring = SESSION_KEY || SESSION_KEY_OLD ? keyringOf([SESSION_KEY, SESSION_KEY_OLD].filter(Boolean)) : undefined
  if (cookie !== undefined && !keyring)
    throw wrong('--cookie needs SESSION_KEY: the users in an index are named by both.')
  const options = { encrypt: keyring !== undefined, cache: undefined, patience: PATIENCE }
  const { stored, vault } = storeStack(opened, options, new Diagnostics('koa-server-session'))
  if (keyring) vault?.use(keyring.derive('encryption'))

  function decrypted(key: Key, found: Found): StoredFound {
    const bytes = Buffer.byteLength(found.text)
    if (!isEncrypted(found.text)) return { ...found, bytes, isEncrypted: false }
    if (!vault)
      return {
        ...found,
        bytes,
        isEncrypted: true,
        whyEncrypted: 'set SESSION_KEY to the application’s secret to read it',
      }
    try {
      return { ...vault.open(key, found), bytes, isEncrypted: true }
    } catch (error) {
      if (!isSessionError(error)) throw error
      return { ...found, bytes, isEncrypted: true, whyEncrypted: error.message }
    }
  }

  const readable: Store = {
    ...stored,
    load: async (key) => {
      const found = await stored.load(key)
      return found && decrypted(key, found)
    },
    // What was encrypted stays so, and what was not as well: the application may not encrypt, although it has a key.
    save: (key, text, expiresAt, expected) =>
      ((expected as StoredFound | undefined)?.isEncrypted && vault ? vault : stored).save(
        key,
        text,
        expiresAt,
        expected,
      ),
    delete: async (key, expected) => {
      const deleted = await stored.delete(key, expected)
      return typeof deleted === 'object' ? decrypted(key, deleted) : deleted
    },
  }
  const subjects = new Subjects(readable, readable)
  if (cookie !== undefined && keyring) {
    const [byKeys, byNone] = [subjectNames(cookie, keyring.derive('subjects')), subjectNames(cookie, [])]
    // By none as well, because the application may have passed its secrets as a Keygrip.
    subjects.notes.use((value, kind) => [...byKeys(value, kind), ...byNone(value, kind)])
  }
  let closing: Promise<void> | undefined
  return {
    name: directory === undefined ? withoutSecrets(url) : `file:${directory}`,
    store: readable,
    raw: stored,
    subjects,
    tables: isSqlStore(opened) ? opened : undefined,
    hasIndex: cookie !== undefined && readable.subjects !== undefined,
    close: () => (closing ??= Promise.resolve(opened.close?.())),
  }
}

/** Without what stands before the hosts and after the question mark, because it may be a password. */
function withoutSecrets(url: string): string {
  return url.replace(/\/\/[^@/?]*@/, '//').replace(/\?.*/s, '')
}

function insideOnly(url: string): SessionError {
  return new SessionError(
    'ERR_SESSION_OPTION',
    `${/^\w+/.exec(url)?.[0]}: keeps sessions inside the application, where no other program can look. ` +
      'Name another store with --store URL or SESSION_STORE.',
  )
}

function noStoreThere(directory: string): SessionError {
  return new SessionError(
    'ERR_SESSION_STORE_UNAVAILABLE',
    `There are no sessions in the directory ${directory}: it does not exist, or koa-server-session did not make it. ` +
      'The application makes it with the first session. Name another one with --store file:./directory or SESSION_STORE.',
  )
}

function noFileThere(file: string): SessionError {
  return new SessionError(
    'ERR_SESSION_STORE_UNAVAILABLE',
    `There is no file ${file}. The application makes it with the first session, and so does the command migrate. ` +
      'Name another one with --store sqlite:./sessions.db or SESSION_STORE.',
  )
}
