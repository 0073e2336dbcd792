import { Checks, isOptions, type Cures } from '../checks.ts'
import { warnOnce } from '../diagnostics.ts'
import { TIMEOUT_RULE, doubtAbout, inWords, isTimeout, type Doubt, type Timeouts } from '../record/timeouts.ts'
import { described } from './described.ts'
import { checkProved } from './proof-arguments.ts'
import type { DestroyOptions, RegenerateOptions } from './member-options.ts'

/*
 * The arguments of a session's members, checked where they are written. No message shows a value, because it may be
 * somebody's data.
 */

const OF_REMEMBER = new Checks('session.remember')
const OF_REGENERATE = new Checks('session.regenerate')
const OF_DESTROY = new Checks('session.destroy')
const OF_FLASH = new Checks('session.flash')
const OF_FLASHES = new Checks('session.flashes')
const OF_UPDATE = new Checks('session.update')

const REMEMBER_RULE =
  'takes a length in milliseconds, such as remember(30 * 24 * 60 * 60 * 1000) for thirty days, or { idleTimeout, absoluteTimeout }'
const BOTH = 'Write remember(milliseconds), which sets both timeouts.'
const REMEMBER_CURES: Cures = { maxAge: BOTH, ttl: BOTH, expires: BOTH, persistent: BOTH, days: BOTH }

/** The timeouts that `remember` is to set. `current`: the session's own. */
export function timeoutsToRemember(argument: unknown, current: Timeouts): Partial<Timeouts> {
  const given = typeof argument === 'object' ? timeoutsIn(argument) : asBoth(argument)
  const doubt = doubtAbout(given, current, 'unchanged') ?? doubtAboutPause(given, current)
  if (doubt) {
    const { code, message } = doubt
    warnOnce([code, ...Object.keys(given)].join(' '), code, `session.remember: ${message}`)
  }
  return given
}

function asBoth(length: unknown): Timeouts {
  if (typeof length !== 'number') throw OF_REMEMBER.refusal(`it ${REMEMBER_RULE}, not ${described(length)}.`)
  if (!isTimeout(length)) throw OF_REMEMBER.wrong('the length', TIMEOUT_RULE, length)
  return { idleTimeout: length, absoluteTimeout: length }
}

function timeoutsIn(options: object | null): Partial<Timeouts> {
  if (!isOptions(options)) throw OF_REMEMBER.refusal(`it ${REMEMBER_RULE}, not ${described(options)}.`)
  OF_REMEMBER.names(options, ['idleTimeout', 'absoluteTimeout'], { cures: REMEMBER_CURES })
  const given: { -readonly [Name in keyof Timeouts]?: number } = {}
  for (const name of ['idleTimeout', 'absoluteTimeout'] as const) {
    const length: unknown = options[name]
    if (length === undefined) continue
    if (!isTimeout(length)) throw OF_REMEMBER.wrong(name, TIMEOUT_RULE)
    given[name] = length
  }
  return given
}

/** A longer life alone remembers nobody: the session still ends with the first pause. */
function doubtAboutPause({ idleTimeout, absoluteTimeout }: Partial<Timeouts>, current: Timeouts): Doubt | undefined {
  if (absoluteTimeout === undefined || idleTimeout !== undefined) return undefined
  if (absoluteTimeout <= current.absoluteTimeout || current.idleTimeout >= absoluteTimeout) return undefined
  return {
    code: 'SESSION_TIMEOUTS_CONTRADICT',
    message:
      `absoluteTimeout is ${inWords(absoluteTimeout)} and idleTimeout stays ${inWords(current.idleTimeout)}, so the session ` +
      `ends ${inWords(current.idleTimeout)} after its last request. remember(milliseconds) sets both; give both if this is ` +
      'what you want.',
  }
}

const WRITE_PROVED = "What the visitor has just proved is proved: 'password'."

/** Throws unless `regenerate` can take these options. */
export function checkRegenerate(options: unknown): asserts options is RegenerateOptions | undefined {
  if (options === undefined) return
  if (options === true) throw OF_REGENERATE.refusal('it takes options. Write regenerate({ keep: true }).')
  if (Array.isArray(options)) throw OF_REGENERATE.refusal("it takes options. Write regenerate({ keep: ['cart'] }).")
  if (!isOptions(options))
    throw OF_REGENERATE.refusal(`it takes options, such as { keep: ['cart'] }, not ${described(options)}.`)
  OF_REGENERATE.names(options, ['keep', 'proved'], { cures: { proof: WRITE_PROVED, prove: WRITE_PROVED } })
  const { keep, proved } = options
  if (proved !== undefined) checkProved(OF_REGENERATE, proved)
  if (keep === undefined || typeof keep === 'boolean') return
  if (Array.isArray(keep) && keep.every((name) => typeof name === 'string')) return
  throw OF_REGENERATE.refusal('keep must be true, false or a list of names.')
}

const CLEARABLE = ['cache', 'storage']
const CLEAR_CURES: Cures = { cookies: 'The cookie of the session is always cleared.' }

/** Throws unless `destroy` can take these options. `null` is none: callers of callbacks pass it. */
export function checkDestroy(options: unknown): asserts options is DestroyOptions | null | undefined {
  if (options === undefined || options === null) return
  if (!isOptions(options))
    throw OF_DESTROY.refusal(
      `it takes nothing, a callback or options such as { clear: ['cache'] }, not ${described(options)}.`,
    )
  OF_DESTROY.names(options, ['clear'], { cures: CLEAR_CURES })
  const { clear } = options
  if (clear === undefined) return
  if (!Array.isArray(clear) || !clear.every((kind) => CLEARABLE.includes(kind as string)))
    throw OF_DESTROY.refusal("clear must be a list of 'cache' and 'storage'.")
}

/** Throws unless `flash` can take these. `values`: what follows the key. */
export function checkFlash(key: unknown, values: readonly unknown[]): void {
  if (typeof key !== 'string')
    throw OF_FLASH.refusal(`the key must be a string, not ${described(key)}. Write flash('notice', 'Saved').`)
  if (values.length > 1) throw OF_FLASH.refusal('it takes one value. For several notices, call it several times.')
  if (values.length === 1 && values[0] === undefined)
    throw OF_FLASH.refusal('the value is undefined. To read what was left, leave it out.')
}

/** Throws unless `flashes` can take these. `more`: what follows the key. */
export function checkFlashes(key: unknown, more: readonly unknown[]): void {
  if (typeof key !== 'string')
    throw OF_FLASHES.refusal(`the key must be a string, not ${described(key)}. Write flashes('notice').`)
  if (more.length > 0) throw OF_FLASHES.refusal('it takes a key alone. To leave a notice, write flash(key, value).')
}

/** Throws unless it is what `update` runs. */
export function checkChange(change: unknown): void {
  if (typeof change === 'function') return
  throw OF_UPDATE.refusal(`it takes a function, such as (session) => { session.views = 1 }, not ${described(change)}.`)
}

/** Throws unless it is a callback, or none. `member`: whose. */
export function checkCallback(member: string, callback: unknown): void {
  if (callback === undefined || callback === null || typeof callback === 'function') return
  throw new Checks(`session.${member}`).refusal(`it takes nothing or a callback, not ${described(callback)}.`)
}
