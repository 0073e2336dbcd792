import { Checks, isOptions, type Cures } from '../checks.ts'
import { inOrder, type Whose } from '../record/whose.ts'
import { isKey, isPromise, type Key } from '../units.ts'
import { described } from './described.ts'
import type { Identity, Limit } from './limit.ts'

/*
 * The arguments that say whose session something is, checked where they are written. No message shows a subject or the
 * value of a name: it may be somebody's name or address.
 */

const OF_IDENTIFY = new Checks('session.identify')
const OF_REVOKE = new Checks('sessions.revoke')
const OF_REVOKE_ALL = new Checks('sessions.revokeAll')
const EXCEPT = 'Write except.'
const BECAUSE = 'Write because.'

/** Other names cost a note each, at every sign-in and in each tenth of the idle timeout. */
const MAX_NAMES = 8
const MAX_VALUE = 1024
const MAX_BECAUSE = 100
const NAME = /^[A-Za-z][A-Za-z0-9]{0,63}$/

const ALSO = 'Write also: { … } around it.'
const MAX = 'Write max.'
const IDENTIFY_CURES: Cures = {
  limit: MAX,
  maxSessions: MAX,
  name: 'Write label.',
  device: 'Write label.',
  names: ALSO,
  tenant: ALSO,
  sid: ALSO,
}

/** What `identify` is to say of a session. Throws unless it can take these arguments. */
export function identityIn(subject: unknown, options: unknown): Identity {
  checkSubject(OF_IDENTIFY, 'identify', subject)
  if (!isOptions(options)) return { subject, label: labelOf(options), also: undefined }
  OF_IDENTIFY.names(options, ['label', 'also', 'max', 'over'], { cures: IDENTIFY_CURES })
  if (options['over'] !== undefined && options['max'] === undefined)
    throw OF_IDENTIFY.refusal('over says what happens beyond max, and there is no max. Write { max: 5, over: … }.')
  return { subject, label: labelOf(options['label']), also: alsoOf(options['also']) }
}

/** Whether these options of `identify` have a limit, right or wrong. */
export function hasLimit(options: unknown): options is { max: unknown; over?: unknown } {
  return isOptions(options) && options['max'] !== undefined
}

/** The same with a limit. */
export function limitedIdentityIn(
  subject: unknown,
  options: { max: unknown; over?: unknown },
): Identity & { readonly limit: Limit } {
  const { max, over = 'endOldest' } = options
  const identity = identityIn(subject, options)
  OF_IDENTIFY.whole('max', max)
  OF_IDENTIFY.oneOf('over', over, ['endOldest', 'refuse'])
  return { ...identity, limit: { max, over } as Limit }
}

function labelOf(label: unknown): string | undefined {
  if (label === undefined || (typeof label === 'string' && label !== '')) return label
  throw OF_IDENTIFY.refusal(`the label must be a string that is not empty, or absent, not ${described(label)}.`)
}

function alsoOf(also: unknown): Whose | undefined {
  if (also === undefined) return undefined
  OF_IDENTIFY.object('also', also, "must be an object of names, such as { tenant: 'acme' }")
  const names = also as Record<string, unknown>
  for (const taken of ['subject', 'id'])
    if (taken in names)
      throw OF_IDENTIFY.refusal(
        `also.${taken} is taken: the subject is the first argument. Call it otherwise, such as tenant.`,
      )
  checkNames(OF_IDENTIFY, 'also.', names)
  return Object.keys(names).length === 0 ? undefined : inOrder(names)
}

/** Throws unless `sessions.list` can take it. */
export function checkList(whose: unknown): asserts whose is string | Whose {
  checkWhose(new Checks('sessions.list'), 'list', whose)
}

/** Throws unless `sessions.revoke` can take these; the subject that it is limited to, if it is, and what the visitor is told. */
export function checkRevoke(id: unknown, options: unknown): { subject?: string; because?: string | undefined } {
  if (!isKey(id)) {
    throw OF_REVOKE.refusal(
      `the id must be the public id of a session, session.id or one that list gave, not ${described(id)}.`,
    )
  }
  if (options === undefined) return {}
  OF_REVOKE.object(
    'the second argument',
    options,
    'must be an object: write { subject } to end a session of this user only',
  )
  OF_REVOKE.names(options as object, ['subject', 'because'], { cures: { reason: BECAUSE } })
  const because = becauseOf(OF_REVOKE, options as object)
  // Not as if it were absent: whoever asks for a limit and has no user at hand must not get no limit.
  if (!Object.hasOwn(options as object, 'subject')) return { because }
  const { subject } = options as { subject: unknown }
  checkSubject(OF_REVOKE, 'revoke(id, { subject })', subject)
  return { subject, because }
}

/** Throws unless `sessions.revokeAll` can take these; the ids that it leaves alone, and what the visitors are told. */
export function checkRevokeAll(
  whose: unknown,
  options: unknown,
): { except: readonly Key[]; because?: string | undefined } {
  checkWhose(OF_REVOKE_ALL, 'revokeAll', whose)
  if (options === undefined) return { except: [] }
  OF_REVOKE_ALL.object(
    'the second argument',
    options,
    'must be an object: write { except: id } to leave one session alone',
  )
  OF_REVOKE_ALL.names(options as object, ['except', 'because'], {
    cures: { exclude: EXCEPT, keep: EXCEPT, not: EXCEPT, reason: BECAUSE },
  })
  const because = becauseOf(OF_REVOKE_ALL, options as object)
  const { except = [] } = options as { except?: unknown }
  const keys: unknown[] = Array.isArray(except) ? except : [except]
  if (keys.every(isKey)) return { except: keys, because }
  throw OF_REVOKE_ALL.wrong(
    'except',
    'must be the public id of a session, or a list of them: session.id, or what list gave',
  )
}

/** What a visitor is told of the end. It is not shown, because it may name somebody. */
function becauseOf(checks: Checks, options: { because?: unknown }): string | undefined {
  const { because } = options
  if (because === undefined) return undefined
  if (typeof because === 'string' && because !== '' && because.length <= MAX_BECAUSE && because.isWellFormed())
    return because
  throw checks.refusal(
    `because must be a string of 1 to ${MAX_BECAUSE} characters, such as 'password changed', or absent, not ${described(because)}.`,
  )
}

/** `call`: how it is written, for a cure. */
function checkWhose(checks: Checks, call: string, whose: unknown): asserts whose is string | Whose {
  // What has an id is most likely the user itself, and as names it would match nothing, without a word.
  if (!isOptions(whose) || 'id' in whose) return checkSubject(checks, call, whose)
  if (Object.keys(whose).length === 0)
    throw checks.refusal(
      `the names must not be empty, or they would mean every session. Write ${call}({ tenant: 'acme' }).`,
    )
  checkNames(checks, '', whose)
}

/** `path`: what to write in front of a name, in a message. */
function checkNames(checks: Checks, path: string, names: Record<string, unknown>): asserts names is Whose {
  const entries = Object.entries(names)
  if (entries.length > MAX_NAMES)
    throw checks.refusal(`there may be ${MAX_NAMES} names at most, not ${entries.length}.`)
  for (const [name, value] of entries) {
    if (!NAME.test(name))
      throw checks.refusal(
        'a name must begin with a letter and have up to 64 letters and digits of ASCII, such as tenant or oidcSid. ' +
          'What differs from session to session is its value.',
      )
    const fault = `${path}${name} must be a string of 1 to ${MAX_VALUE} characters, not ${described(value)}.`
    if (typeof value === 'number' || typeof value === 'bigint')
      throw checks.refusal(`${fault} Write String(…) around it.`)
    if (value === undefined || value === null) throw checks.refusal(`${fault} Leave the name out if there is none.`)
    if (isPromise(value)) throw checks.refusal(`${fault} Await it first.`)
    if (typeof value !== 'string' || value === '') throw checks.refusal(fault)
    if (value.length > MAX_VALUE)
      throw checks.refusal(`${path}${name} must have ${MAX_VALUE} characters at most; it has ${value.length}.`)
    if (!value.isWellFormed())
      throw checks.refusal(`${path}${name} must be well-formed text, and it holds half of a surrogate pair.`)
  }
}

/** `call`: how it is written, for a cure. */
function checkSubject(checks: Checks, call: string, subject: unknown): asserts subject is string {
  const fault = `the subject must be a string that is not empty, not ${described(subject)}.`
  if (typeof subject === 'number' || typeof subject === 'bigint') {
    const written = call.includes('subject')
      ? call.replace('subject', 'subject: String(user.id)')
      : `${call}(String(user.id))`
    throw checks.refusal(`the subject must be a string, not ${described(subject)}. Write ${written}.`)
  }
  if (subject === undefined || subject === null) throw checks.refusal(`${fault} Is somebody signed in?`)
  if (isPromise(subject)) throw checks.refusal(`${fault} Await it first.`)
  if (isOptions(subject) && 'id' in subject) throw checks.refusal(`${fault} Pass its id, as a string.`)
  if (typeof subject !== 'string' || subject === '') throw checks.refusal(fault)
  // As UTF-8, every half is one and the same replacement character, so different users would share their sessions.
  if (subject.isWellFormed()) return
  throw checks.refusal(
    'the subject must be well-formed text, and it holds half of a surrogate pair. Refuse such names where they are entered.',
  )
}
