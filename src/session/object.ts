import { inspect } from 'node:util'
import { SessionError } from '../errors.ts'
import { endOf, merge, type SessionRecord } from '../record/record.ts'
import { WorkingCopy, type SessionHost } from './working-copy.ts'
import type { RegenerateOptions, RememberOptions, Session, SessionCallback, SessionMembers } from './types.ts'

/** The object that handlers touch: always the same one for the same state. */
export function sessionOf(state: WorkingCopy): Session {
  return (state.view ??= new Proxy(state, HANDLER) as unknown as Session)
}

// console.log looks behind a Proxy, at the state (which a Proxy is no instance of); what it shows must be the data.
Object.defineProperty(WorkingCopy.prototype, inspect.custom, {
  value(this: object): object {
    return { ...(this instanceof WorkingCopy ? sessionOf(this) : this) }
  },
})

/** Makes `data` the whole of the session's data. */
export function replaceData(state: WorkingCopy, data: object): void {
  const values = Object.entries(data) // before anything is removed, because `data` may be this very session
  for (const [name] of values) assertNotReserved(name)
  for (const name of state.names()) state.write(name, undefined)
  for (const [name, value] of values) state.write(name, value)
}

/** The newest state with `mine` on top, and what `change` makes of it: one step of an update. */
export function applyUpdate<Result>(
  { key, found, codec }: WorkingCopy,
  record: SessionRecord,
  change: (session: Session) => Result,
): { record: SessionRecord; result: Result; names: Iterable<string> } {
  const draft = new WorkingCopy(record, codec, NOT_IN_UPDATE, { key, found })
  const result = change(sessionOf(draft))
  if (typeof (result as { then?: unknown } | null | undefined)?.then === 'function') {
    throw new SessionError(
      'ERR_SESSION_OPTION',
      'session.update: the function returned a promise. It runs again when another writer was faster, so it must be synchronous.',
    )
  }
  const changes = draft.changes({ andFlashSeen: false })
  return { record: changes ? merge(record, changes) : record, result, names: changes?.entries.keys() ?? [] }
}

function refuseAtOnce(): never {
  throw new SessionError('ERR_SESSION_OPTION', 'session.update: the function may only read and set data.')
}
async function refuse(): Promise<never> {
  return refuseAtOnce()
}
const NOT_IN_UPDATE: SessionHost = {
  save: refuse,
  reload: refuse,
  update: refuse,
  regenerate: refuse,
  destroy: refuse,
  signalOf: refuseAtOnce,
  sealedBy: () => undefined,
}

type Members = Required<SessionMembers> & { then: undefined }

/** The names that are not data. */
const MEMBERS: { [Name in keyof Members]: (state: WorkingCopy) => unknown } = {
  id: (state) => state.key,
  isNew: (state) => state.found === undefined,
  createdAt: (state) => state.record.createdAt,
  expiresAt: (state) => state.found?.expiresAt ?? endOf(state.record, Date.now()),
  signal: (state) => state.actions.signalOf(state),
  save: (state) => (callback?: SessionCallback) => settle(() => state.actions.save(state), callback),
  reload: (state) => (callback?: SessionCallback) => settle(() => state.actions.reload(state), callback),
  update: (state) => (change: (session: Session) => unknown) => state.actions.update(state, change),
  regenerate: (state) => (options?: RegenerateOptions | SessionCallback) =>
    typeof options === 'function'
      ? settle(() => state.actions.regenerate(state, {}), options)
      : state.actions.regenerate(state, options ?? {}),
  destroy: (state) => (callback?: SessionCallback) => settle(() => state.actions.destroy(state), callback),
  remember: (state) => (options?: RememberOptions) => state.remember(options ?? {}),
  identify: (state) => (subject: string, label?: string) => state.identify(subject, label),
  flash:
    (state) =>
    (key: string, ...value: [] | [unknown]) =>
      state.flash(key, ...value),
  // So that a session may be returned from an async function.
  then: () => undefined,
}
const STATE = Symbol('koa-server-session.state')
const MEMBER_OF = new Map<PropertyKey, (state: WorkingCopy) => unknown>([
  ...Object.entries(MEMBERS),
  [STATE, (state) => state],
])

/** The middleware whose session this is; `undefined` for an object that only stands in for a session. */
export function ownerOf(session: Session): object | undefined {
  return (session as { [STATE]?: WorkingCopy })[STATE]?.actions.owner
}

function settle(work: () => Promise<void>, callback: SessionCallback | undefined): Promise<void> | undefined {
  if (typeof callback !== 'function') return work()
  // In a tick of its own, so that what the callback throws is not taken for a failure of the session.
  work().then(
    () => process.nextTick(callback, null),
    (error: unknown) => process.nextTick(callback, error),
  )
  return undefined
}

function assertNotReserved(name: string): void {
  if (!MEMBER_OF.has(name)) return
  throw new SessionError(
    'ERR_SESSION_RESERVED_KEY',
    `session.${name} is a member of every session. Give your data another name.`,
  )
}

function assertString(name: PropertyKey): asserts name is string {
  if (typeof name === 'string') return
  throw new SessionError('ERR_SESSION_VALUE', 'A symbol cannot be the name of a session value. Use a string.')
}

const HANDLER: ProxyHandler<WorkingCopy> = {
  get(state, name) {
    const member = MEMBER_OF.get(name)
    if (member) return member(state)
    const value = typeof name === 'string' ? state.read(name) : undefined
    if (value !== undefined || name === '__proto__') return value
    return Reflect.get(Object.prototype, name)
  },
  set(state, name, value) {
    assertString(name)
    assertNotReserved(name)
    state.write(name, value)
    return true
  },
  has(state, name) {
    if (typeof name === 'string' && state.has(name)) return true
    return MEMBER_OF.has(name) || (name !== '__proto__' && Reflect.has(Object.prototype, name))
  },
  deleteProperty(state, name) {
    assertString(name)
    assertNotReserved(name)
    if (state.has(name)) state.write(name, undefined)
    return true
  },
  ownKeys: (state) => state.names(),
  getOwnPropertyDescriptor(state, name) {
    if (typeof name !== 'string' || MEMBER_OF.has(name) || !state.has(name)) return undefined
    return { value: state.read(name), writable: true, enumerable: true, configurable: true }
  },
  defineProperty(state, name, descriptor) {
    assertString(name)
    assertNotReserved(name)
    if (!('value' in descriptor)) {
      throw new SessionError('ERR_SESSION_VALUE', `session.${name} cannot be an accessor: only values can be stored.`)
    }
    if (descriptor.configurable === false) return false // a session's values can always be changed
    state.write(name, descriptor.value)
    return true
  },
  getPrototypeOf: () => Object.prototype,
  setPrototypeOf: () => false,
  preventExtensions: () => false,
}
