import { warnOnce } from '../diagnostics.ts'

/*
 * Members that sessions of koa-session and express-session have and ours have not. Such a name may be somebody's data as
 * well, so it is stored and read like any other, and a warning tells what to write if it was not meant as data.
 */

const REMEMBER = 'A session gets a length of its own by session.remember(milliseconds).'
const NOT_NEEDED = 'It is not needed: a session is saved if it was changed, and extended if it was used.'

const CURES: ReadonlyMap<string, string> = new Map([
  ['maxAge', REMEMBER],
  ['cookie', `${REMEMBER} The cookie’s attributes are options of session().`],
  ['populated', 'Whether there is data is Object.keys(session).length > 0.'],
  ['manuallyCommit', 'To save at once, call await session.save().'],
  ['commit', 'To save at once, call await session.save().'],
  ['touch', NOT_NEEDED],
  ['resetMaxAge', NOT_NEEDED],
])

/** Warns once for each name if it is that of a member of other libraries. */
export function warnOfHabit(name: string): void {
  const cure = CURES.get(name)
  if (cure === undefined) return
  const code = 'SESSION_NO_SUCH_MEMBER'
  warnOnce(
    `${code} ${name}`,
    code,
    `session.${name} is no member of this library's sessions, only a name for data. ${cure}`,
  )
}
