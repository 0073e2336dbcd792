import { Checks } from '../../checks.ts'
import { warn } from '../../diagnostics.ts'
import type { OldSessions } from '../../http/newcomers.ts'
import { decodeMsgpack } from './msgpack.ts'
import { signedByFlask } from './signatures.ts'
import { checkCookieName, checkSource, farewell, valuesIn, without, type Source } from './source.ts'

/** What `fromFlaskSession` has to know of the Flask-Session of before. */
export interface FlaskSessionSource<Data extends object = Record<string, unknown>> extends Source<Data> {
  /**
   * The bytes of the record under this key; nothing if there is none. With ioredis:
   * `(key) => client.getBuffer(key)`.
   */
  read: (key: string) => FlaskRecord | Promise<FlaskRecord>
  /** Removes the record under this key. With ioredis: `(key) => client.del(key)`. */
  remove: (key: string) => unknown
  /** `SECRET_KEY` of Flask, if `SESSION_USE_SIGNER` was on. Default: the cookie holds the bare id. */
  secretKey?: string | readonly string[]
  /** `SESSION_COOKIE_NAME`. Default `session`. */
  name?: string
  /** `SESSION_KEY_PREFIX`. Default `session:`. */
  prefix?: string
}

type FlaskRecord = Uint8Array | null | undefined

const PICKLE =
  'A record of Flask-Session is a pickle, which is a program and is not run here, so its visitor has to sign in again. Have ' +
  'Flask-Session 0.8 with SESSION_SERIALIZATION_FORMAT "msgpack" write the sessions for a while before you move: it reads ' +
  'pickles, and writes each session anew when its visitor comes.'
const UNKNOWN = 'A record of Flask-Session is neither MessagePack nor JSON, so its visitor has to sign in again.'

/**
 * The sessions of Flask-Session 0.7 and later, whose records are MessagePack or JSON, for the option `movingFrom`. The
 * pickles of older releases, and those of its file system, are not read: a warning says what to do. Throws
 * `ERR_SESSION_OPTION` if an option is wrong.
 */
export function fromFlaskSession<Data extends object = Record<string, unknown>>(
  options: FlaskSessionSource<Data>,
): OldSessions {
  const checks = new Checks('fromFlaskSession')
  checkSource(checks, options, ['read', 'remove', 'secretKey', 'name', 'prefix'])
  const { read, remove, secretKey, name = 'session', prefix = 'session:', cookie, take } = options
  checks.callable('read', read)
  checks.callable('remove', remove)
  checkCookieName(checks, 'name', name)
  if (typeof prefix !== 'string') throw checks.wrong('prefix', 'must be a string', prefix)
  const isSigned = secretKey === undefined ? undefined : signedByFlask(checks, secretKey)
  const farewells = [farewell(name, cookie)]
  const warned = new Set<string>()

  function idIn(value: string): string | undefined {
    const [, id, signature] = /^([\w-]{16,256})(?:\.([\w-]+))?$/.exec(value) ?? []
    if (!isSigned) return signature === undefined ? id : undefined
    return id !== undefined && signature !== undefined && isSigned(id, signature) ? id : undefined
  }

  function dataIn(bytes: Uint8Array): object | undefined {
    const data = decoded(bytes)
    if (typeof data === 'object' && data !== null && !Array.isArray(data)) return without(data, ['_permanent'])
    const message = isPickle(bytes) ? PICKLE : UNKNOWN
    if (!warned.has(message)) warn('SESSION_OLD_UNREADABLE', message)
    warned.add(message)
    return undefined
  }

  return {
    name: `Flask-Session (${name})`,
    take,
    find(header) {
      for (const value of valuesIn(header, name)) {
        const id = idIn(value)
        if (id === undefined) continue
        return {
          id: `Flask-Session ${name} ${id}`,
          farewells,
          async load() {
            const bytes = await read(prefix + id)
            return bytes ? dataIn(bytes) : undefined
          },
          async end() {
            await remove(prefix + id)
          },
        }
      }
      return undefined
    },
  }
}

function decoded(bytes: Uint8Array): unknown {
  for (const decode of [decodeMsgpack, (text: Uint8Array): unknown => JSON.parse(Buffer.from(text).toString())])
    try {
      return decode(bytes)
    } catch {}
  return undefined
}

/** Every pickle since protocol 2 begins with its number, and each ends with a full stop. A file has its end before it. */
function isPickle(bytes: Uint8Array): boolean {
  const begins = (at: number): boolean => bytes[at] === 0x80 && (bytes[at + 1] ?? 9) <= 5
  return (begins(0) || begins(4)) && bytes.at(-1) === 0x2e
}
