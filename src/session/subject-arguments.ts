import { Checks } from '../checks.ts'
import { isKey, isPromise, type Key } from '../units.ts'
import { kindOf } from './arguments.ts'

/*
 * The arguments that say whose session something is, checked where they are written. No message shows a subject: it may be
 * somebody's name or address.
 */

const OF_IDENTIFY = new Checks('session.identify')
const OF_REVOKE = new Checks('sessions.revoke')
const OF_REVOKE_ALL = new Checks('sessions.revokeAll')
const EXCEPT = 'Write except.'

/** Throws unless `identify` can take these. */
export function checkIdentity(subject: unknown, label: unknown): void {
  checkSubject(OF_IDENTIFY, 'identify', subject)
  if (label !== undefined && (typeof label !== 'string' || label === ''))
    throw OF_IDENTIFY.refusal(`the label must be a string that is not empty, or absent, not ${kindOf(label)}.`)
}

/** Throws unless `sessions.list` can take it. */
export function checkList(subject: unknown): void {
  checkSubject(new Checks('sessions.list'), 'list', subject)
}

/** Throws unless `sessions.revoke` can take these; the subject that it is limited to, if it is. */
export function checkRevoke(id: unknown, options: unknown): string | undefined {
  if (!isKey(id)) {
    throw OF_REVOKE.refusal(
      `the id must be the public id of a session, session.id or one that list gave, not ${kindOf(id)}.`,
    )
  }
  if (options === undefined) return undefined
  OF_REVOKE.object(
    'the second argument',
    options,
    'must be an object: write { subject } to end a session of this user only',
  )
  OF_REVOKE.names(options as object, ['subject'])
  // Not as if it were absent: whoever asks for a limit and has no user at hand must not get no limit.
  if (!Object.hasOwn(options as object, 'subject')) return undefined
  const { subject } = options as { subject: unknown }
  checkSubject(OF_REVOKE, 'revoke(id, { subject })', subject)
  return subject
}

/** Throws unless `sessions.revokeAll` can take these; the ids that it leaves alone. */
export function checkRevokeAll(subject: unknown, options: unknown): readonly Key[] {
  checkSubject(OF_REVOKE_ALL, 'revokeAll', subject)
  if (options === undefined) return []
  OF_REVOKE_ALL.object(
    'the second argument',
    options,
    'must be an object: write { except: id } to leave one session alone',
  )
  OF_REVOKE_ALL.names(options as object, ['except'], { cures: { exclude: EXCEPT, keep: EXCEPT, not: EXCEPT } })
  const { except = [] } = options as { except?: unknown }
  const keys: unknown[] = Array.isArray(except) ? except : [except]
  if (keys.every(isKey)) return keys
  throw OF_REVOKE_ALL.wrong(
    'except',
    'must be the public id of a session, or a list of them: session.id, or what list gave',
  )
}

/** `call`: how it is written, for a cure. */
function checkSubject(checks: Checks, call: string, subject: unknown): asserts subject is string {
  const fault = `the subject must be a string that is not empty, not ${kindOf(subject)}.`
  if (typeof subject === 'number' || typeof subject === 'bigint') {
    const written = call.includes('subject')
      ? call.replace('subject', 'subject: String(user.id)')
      : `${call}(String(user.id))`
    throw checks.refusal(`the subject must be a string, not ${kindOf(subject)}. Write ${written}.`)
  }
  if (subject === undefined || subject === null) throw checks.refusal(`${fault} Is somebody signed in?`)
  if (isPromise(subject)) throw checks.refusal(`${fault} Await it first.`)
  if (typeof subject !== 'string' || subject === '') throw checks.refusal(fault)
  // As UTF-8, every half is one and the same replacement character, so different users would share their sessions.
  if (subject.isWellFormed()) return
  throw checks.refusal(
    'the subject must be well-formed text, and it holds half of a surrogate pair. Refuse such names where they are entered.',
  )
}
