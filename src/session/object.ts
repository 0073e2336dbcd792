import { inspect } from 'node:util'
import { shared } from './copies.ts'
import { SessionError } from '../errors.ts'
import { endOf } from '../record/record.ts'
import { Operation } from './operation.ts'
import { WorkingCopy } from './working-copy.ts'
import type { Milliseconds } from '../units.ts'
import {
  checkCallback,
  checkChange,
  checkDestroy,
  checkFlash,
  checkFlashes,
  checkRegenerate,
  timeoutsToRemember,
} from './arguments.ts'
import { checkProve, checkProvedWithin } from './proof-arguments.ts'
import { hasProved } from './proving.ts'
import { hasLimit, identityIn, limitedIdentityIn } from './subject-arguments.ts'
import { warnOfHabit } from './habits.ts'
import type {
  DestroyOptions,
  IdentifyOptions,
  LimitedIdentifyOptions,
  RegenerateOptions,
  RememberOptions,
} from './member-options.ts'
import type { Session, SessionCallback, SessionMembers } from './types.ts'

/** As this module was loaded with it: fake timers of a test would keep the callbacks waiting. */
const nextTick = process.nextTick.bind(process)

/** The object that handlers touch. A working copy always has the same one. */
export function sessionOf(copy: WorkingCopy): Session {
  return (copy.view ??= new Proxy(copy, HANDLER) as unknown as Session)
}

// console.log looks behind a Proxy, at the working copy. What it shows must be the data.
Object.defineProperty(WorkingCopy.prototype, inspect.custom, {
  value(this: object): object {
    return { ...(this instanceof WorkingCopy ? sessionOf(this) : this) }
  },
})

/** Replaces all of the session's data. */
export function replaceData(copy: WorkingCopy, data: object): void {
  const values = Object.entries(data) // before anything is removed, because `data` may be this very session
  for (const [name] of values) assertNotReserved(name)
  for (const name of copy.names()) copy.write(name, undefined)
  for (const [name, value] of values) copy.write(name, value)
}

type Members = Required<SessionMembers> & { then: undefined }

/** The names that are not data. */
const MEMBERS: { [Name in keyof Members]: (copy: WorkingCopy) => unknown } = {
  id: (copy) => copy.key,
  isNew: (copy) => copy.found === undefined,
  createdAt: (copy) => copy.record.createdAt,
  expiresAt: (copy) => copy.found?.expiresAt ?? endOf(copy.record, Date.now()),
  signal: (copy) => copy.host.signalOf(copy),
  save: (copy) => (callback?: SessionCallback) => withCallback(copy, 'save', () => copy.host.save(copy), callback),
  reload: (copy) => (callback?: SessionCallback) =>
    withCallback(copy, 'reload', () => copy.host.reload(copy), callback),
  update: (copy) => (change: (session: Session) => unknown) =>
    begun(copy, async () => {
      checkChange(change)
      const here = copy.forWriting()
      return here.host.update(here, change)
    }),
  regenerate: (copy) => (options?: RegenerateOptions | SessionCallback) =>
    typeof options === 'function'
      ? withCallback(copy, 'regenerate', () => regenerate(copy, {}), options)
      : begun(copy, async () => {
          checkRegenerate(options)
          return regenerate(copy, options ?? {})
        }),
  destroy: (copy) => (options?: DestroyOptions | SessionCallback) =>
    typeof options === 'function'
      ? withCallback(copy, 'destroy', () => copy.host.destroy(copy), options)
      : begun(copy, async () => {
          checkDestroy(options)
          return copy.host.destroy(copy, options ?? {})
        }),
  prove: (copy) => (kinds: string | readonly string[]) =>
    begun(copy, async () => {
      checkProve(kinds)
      return regenerate(copy, { keep: true, proved: kinds })
    }),
  provedWithin: (copy) => (kinds: string | readonly string[], within: Milliseconds) => {
    checkProvedWithin(kinds, within)
    return hasProved(copy, kinds, within)
  },
  remember: (copy) => (timeouts: Milliseconds | RememberOptions) =>
    copy.forWriting().remember(timeoutsToRemember(timeouts, copy.current.terms)),
  endedBecause: (copy) => copy.host.endedBecause,
  identify: (copy) => (subject: string, options?: string | IdentifyOptions | LimitedIdentifyOptions) => {
    if (!hasLimit(options)) return copy.forWriting().identify(identityIn(subject, options))
    return begun(copy, async () => {
      const { limit, ...identity } = limitedIdentityIn(subject, options)
      const here = copy.forWriting()
      here.assertWritable('identify')
      return here.host.identify(here, identity, limit)
    })
  },
  flash:
    (copy) =>
    (key: string, ...value: [] | [unknown]) => {
      checkFlash(key, value)
      return value.length > 0 ? copy.forWriting().flash(key, value[0]) : copy.flashes(key).at(-1)
    },
  flashes:
    (copy) =>
    (key: string, ...more: []) => {
      checkFlashes(key, more)
      return copy.flashes(key)
    },
  // So that a session may be returned from an async function.
  then: () => undefined,
}
const WORKING_COPY: unique symbol = shared('working copy', () => Symbol('koa-server-session.working-copy')) as never
const MEMBER_OF = new Map<PropertyKey, (copy: WorkingCopy) => unknown>([
  ...Object.entries(MEMBERS),
  // As a name of data it would replace the prototype of every copy that Object.assign makes of the session.
  ['__proto__', () => Object.prototype],
  [WORKING_COPY, (copy) => copy],
])

/** The middleware whose session this is; `undefined` for an object that only stands in for a session. */
export function ownerOf(session: Session): object | undefined {
  return (session as { [WORKING_COPY]?: WorkingCopy })[WORKING_COPY]?.host.owner
}

/** The session that has taken this one's place, if its host says so; otherwise this one. */
export function currentSessionOf(session: Session): Session {
  return (session as { [WORKING_COPY]?: WorkingCopy })[WORKING_COPY]?.host.successor ?? session
}

/** A wrong argument of a member that promises something is a rejection, like any other failure. */
function begun<Result>({ host }: WorkingCopy, work: () => Promise<Result>): Operation<Result> {
  const operation = Operation.begin(work)
  host.begun?.(operation)
  return operation
}

function withCallback(
  copy: WorkingCopy,
  member: string,
  work: () => Promise<void>,
  callback: SessionCallback | null | undefined,
): Promise<void> | undefined {
  const operation = begun(copy, async () => {
    checkCallback(member, callback)
    return work()
  })
  if (typeof callback !== 'function') return operation
  // In a tick of its own, so that what the callback throws is not taken for a failure of the session.
  operation.then(
    () => nextTick(callback, null),
    (error: unknown) => nextTick(callback, error),
  )
  return undefined
}

function regenerate(copy: WorkingCopy, options: RegenerateOptions): Promise<void> {
  const here = copy.forWriting()
  return here.host.regenerate(here, options)
}

const NO_FLASH_MIDDLEWARE =
  "connect-flash, koa-better-flash and their like keep their notices under this name: leave them out. session.flash('error', " +
  "text) leaves a notice, and session.flashes('error') in a later request takes all of them."

/** Whether this name is a member of every session, and so can be no name of data. */
export function isMember(name: string): boolean {
  return MEMBER_OF.has(name)
}

function assertNotReserved(name: string): void {
  if (!MEMBER_OF.has(name)) return
  throw new SessionError(
    'ERR_SESSION_RESERVED_KEY',
    `session.${name} is a member of every session. ${name === 'flash' ? NO_FLASH_MIDDLEWARE : 'Give your data another name.'}`,
  )
}

function assertString(name: PropertyKey): asserts name is string {
  if (typeof name === 'string') return
  throw new SessionError('ERR_SESSION_VALUE', 'A symbol cannot be the name of a session value. Use a string.')
}

const HANDLER: ProxyHandler<WorkingCopy> = {
  get(copy, name) {
    const member = MEMBER_OF.get(name)
    const { current } = copy
    if (member) return member(current)
    const value = typeof name === 'string' ? current.read(name) : undefined
    if (value !== undefined) return value
    if (typeof name === 'string') warnOfHabit(name)
    return Reflect.get(Object.prototype, name)
  },
  set(copy, name, value) {
    assertString(name)
    assertNotReserved(name)
    warnOfHabit(name)
    copy.forWriting().write(name, value)
    return true
  },
  has(copy, name) {
    if (typeof name === 'string' && copy.current.has(name)) return true
    return MEMBER_OF.has(name) || Reflect.has(Object.prototype, name)
  },
  deleteProperty(copy, name) {
    assertString(name)
    assertNotReserved(name)
    const { current } = copy
    if (current.has(name)) current.write(name, undefined)
    return true
  },
  ownKeys: (copy) => copy.current.names(),
  getOwnPropertyDescriptor(copy, name) {
    const { current } = copy
    if (typeof name !== 'string' || MEMBER_OF.has(name) || !current.has(name)) return undefined
    return { value: current.read(name), writable: true, enumerable: true, configurable: true }
  },
  defineProperty(copy, name, descriptor) {
    assertString(name)
    assertNotReserved(name)
    if (!('value' in descriptor)) {
      throw new SessionError('ERR_SESSION_VALUE', `session.${name} cannot be an accessor: only values can be stored.`)
    }
    if (descriptor.configurable === false) return false // a session's values can always be changed
    copy.forWriting().write(name, descriptor.value)
    return true
  },
  getPrototypeOf: () => Object.prototype,
  setPrototypeOf: () => false,
  preventExtensions: () => false,
}
