import { warn } from '../../diagnostics.ts'
import { isAnswer } from './answers.ts'
import type { Connection } from './connection.ts'

/** A server that speaks as Redis does, and is something else. */
export interface Stranger {
  readonly name: string
  /** Whether other servers take writes of the same keys, and the newest write wins. */
  readonly hasManyMasters: boolean
}

/** What INFO says of them. Valkey is not among them: it is Redis, made on by others. */
const MARKS: readonly (readonly [name: string, mark: RegExp])[] = [
  ['Dragonfly', /^dragonfly_version:/m],
  ['Garnet', /^garnet_version:/m],
  ['KeyDB', /^(?:mvcc_depth:|executable:.*keydb)/m],
  ['Kvrocks', /^kvrocks_version:/m],
]
const ACTIVE_REPLICA = /^role:active-replica/m

/** Who the server is, by its own words, if it is not Redis; a server that does not say is taken for Redis. */
export async function strangerBehind(connection: Connection): Promise<Stranger | undefined> {
  try {
    return strangerIn(String(await connection.run((client) => client.info())))
  } catch (error) {
    if (isAnswer(error)) return undefined
    throw error
  }
}

function strangerIn(info: string): Stranger | undefined {
  const [name] = MARKS.find(([, mark]) => mark.test(info)) ?? []
  return name === undefined ? undefined : { name, hasManyMasters: ACTIVE_REPLICA.test(info) }
}

/** Says of each stranger once what it means for sessions. */
export class Strangers {
  readonly #told = new Set<string>()

  /** Looks at the server behind a connection, if it answers. */
  async meet(connection: Connection): Promise<void> {
    this.#warnOfMasters(await strangerBehind(connection).catch(() => undefined))
  }

  /** The same where the server would have to tell of changes. `true`: what it tells cannot be relied on. */
  async keepsFrom(connection: Connection): Promise<boolean> {
    const stranger = await strangerBehind(connection)
    this.#warnOfMasters(stranger)
    if (!stranger) return false
    this.#warn(
      'SESSION_REDIS_NOT_WATCHING',
      `the server is ${stranger.name}, of which it is not known that its messages come in order with its replies, so ` +
        'this process caches nothing. Take Redis or Valkey',
    )
    return true
  }

  #warnOfMasters(stranger: Stranger | undefined): void {
    if (!stranger?.hasManyMasters) return
    this.#warn(
      'SESSION_REDIS_MANY_MASTERS',
      `this ${stranger.name} is an active replica: several servers take writes of the same session and the newest wins, ` +
        'so changes are lost and destroyed sessions can come back. Set active-replica to no',
    )
  }

  #warn(code: string, sentence: string): void {
    if (this.#told.has(code)) return
    this.#told.add(code)
    warn(code, `store redis: ${sentence}`)
  }
}
