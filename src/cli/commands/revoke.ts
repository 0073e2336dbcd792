import { isSessionError } from '../../errors.ts'
import type { Whose } from '../../record/whose.ts'
import type { Key } from '../../units.ts'
import { wholeIds } from '../beginnings.ts'
import { assertId, isWhole, wrong } from '../usage.ts'
import { DONE, FAILED, NOT_FOUND, WRONG_USAGE, type Call, type Command, type ExitCode } from '../command.ts'
import { counted } from '../format.ts'
import { canList, cannotList, noneIn, visitAll, visitWhose } from '../sessions.ts'
import type { OpenStore } from '../store.ts'
import { whoseIn } from '../whose.ts'

export const revoke: Command = {
  summary: 'end sessions: by id, of a user, or all',
  usage: `ID… [--json] [--store URL]
--subject NAME [--also NAME=TEXT] [--cookie NAME] [--except ID] [--json] [--store URL]
--also NAME=TEXT [--cookie NAME] [--except ID] [--json] [--store URL]
--all [--except ID] [--yes] [--json] [--store URL]`,
  options: ['subject', 'also', 'cookie', 'except', 'all', 'yes', 'json', 'store'],
  operands: { least: 0, most: Infinity, what: 'ids' },
  details: `ID may be the first 8 digits or more, if no other session's id begins with them.
The visitor is signed out on every node, and what a request under way still wants to save is dropped.
--all asks before it begins; if nobody can be asked, it needs --yes. --json prints {"revoked": 2} and what
was not found or could not be ended. --subject and --also look through all sessions, whichever application they belong
to, and end those that have all of these names; with --cookie they ask the index of the application with this
cookie.name, and end no other's.`,
  async run(call) {
    const { operands, values } = call
    const whose = whoseIn(values)
    const ways = [operands.length > 0, whose !== undefined, values.all].filter(Boolean).length
    if (ways !== 1)
      throw wrong('revoke needs either ids, or --subject NAME, or --also NAME=TEXT, or --all. See revoke --help.')
    if (operands.length > 0 && values.except.length > 0) throw wrong('--except goes with --subject, --also or --all.')
    if (values.cookie !== undefined && !whose) throw wrong('--cookie goes with --subject or --also.')
    for (const id of [...operands, ...values.except]) assertId(id)
    const store = call.openStore()
    if (operands.length > 0) return revokeIds({ ...call, operands: await wholeIds(store, operands) }, store)
    if (!canList(store)) return cannotList(call, store)
    const sparing = { ...call, values: { ...values, except: await toSpare(store, values.except) } }
    return whose ? revokeWhose(sparing, store, whose) : revokeAll(sparing, store)
  },
}

/** Throws `ERR_SESSION_OPTION` if there is no such session: it was to stay, so nothing may end by a mistyped digit. */
async function toSpare(store: OpenStore, except: readonly string[]): Promise<Key[]> {
  const ids = await wholeIds(store, except)
  const unknown = ids.find((id) => !isWhole(id))
  if (unknown === undefined) return ids
  throw wrong(`No session's id begins with ${unknown}, which --except names. Nothing was ended.`)
}

async function revokeIds(call: Call, { subjects, name }: OpenStore): Promise<ExitCode> {
  let revoked = 0
  const notFound: Key[] = []
  for (const id of new Set(call.operands)) {
    if (call.signal.aborted) break
    if (isWhole(id) && (await subjects.revoke(id))) revoked++
    else notFound.push(id)
  }
  await report(call, name, revoked, notFound.length > 0 ? { notFound } : {})
  for (const id of notFound) call.terminal.say(`There is no live session ${id}.`)
  return notFound.length > 0 ? NOT_FOUND : DONE
}

async function revokeWhose(call: Call, store: OpenStore, whose: Whose): Promise<ExitCode> {
  const { revoked, unreadable } = store.hasIndex
    ? await revokeByIndex(call, store, whose)
    : await revokeAmongAll(call, store, whose)
  await report(call, store.name, revoked, unreadable > 0 ? { unreadable } : {})
  if (unreadable > 0) {
    call.terminal.say(
      `${counted(unreadable, 'session')} that may be this user’s cannot be read, so nothing was done to them. If they are ` +
        'encrypted, set SESSION_KEY. Else end them by their ids, which list shows.',
    )
    return FAILED
  }
  if (revoked > 0 || call.values.except.length > 0) return DONE
  call.terminal.say(noneIn(store, whose))
  return NOT_FOUND
}

interface Outcome {
  readonly revoked: number
  readonly unreadable: number
}

async function revokeByIndex({ values }: Call, { subjects }: OpenStore, whose: Whose): Promise<Outcome> {
  const { revoked, failures } = await subjects.revokeAll(whose, values.except)
  const failure = failures.find((error) => !isSessionError(error, 'ERR_SESSION_UNREADABLE'))
  if (failure !== undefined) throw failure
  return { revoked, unreadable: failures.length }
}

/** Looks again until there is none left: a session may have moved to another id meanwhile. */
async function revokeAmongAll({ values, terminal, signal }: Call, store: OpenStore, whose: Whose): Promise<Outcome> {
  let revoked = 0
  for (;;) {
    let found = 0
    let unreadable = 0
    const progress = terminal.progress('Counting sessions')
    await visitWhose(store, whose, signal, progress, async (sighting) => {
      if (values.except.includes(sighting.key)) return
      if (sighting.record === 'unreadable') {
        unreadable++
        return
      }
      found++
      if (await store.subjects.end(sighting)) revoked++
    })
    progress.end()
    if (found === 0 || signal.aborted) return { revoked, unreadable }
  }
}

async function revokeAll(call: Call, store: OpenStore): Promise<ExitCode> {
  const { values, terminal, signal } = call
  if (!values.yes) {
    if (!terminal.isInteractive) {
      terminal.say(
        'koa-server-session: revoke --all ends every session. There is nobody to ask, so add --yes if you mean it.',
      )
      return WRONG_USAGE
    }
    if (!(await terminal.ask(`End all sessions in ${store.name}?`, signal))) {
      if (!signal.aborted) terminal.say('Nothing was ended.')
      return FAILED
    }
  }
  let revoked = 0
  let unreadable = 0
  const progress = terminal.progress('Counting sessions')
  await visitAll(store, signal, progress, 'Ending sessions', async (sighting) => {
    if (values.except.includes(sighting.key)) return
    // Without a Found, not even the store knows what the record is, and it would not delete it.
    if (sighting.record === 'unreadable' && !sighting.found) unreadable++
    else if (await store.subjects.end(sighting)) revoked++
  })
  progress.end()
  await report(call, store.name, revoked, unreadable > 0 ? { unreadable } : {})
  if (unreadable === 0) return DONE
  terminal.say(`${counted(unreadable, 'other record')} left alone: not a session of this library, or damaged.`)
  return FAILED
}

async function report({ values, terminal }: Call, name: string, revoked: number, more: object): Promise<void> {
  if (values.json) await terminal.json({ revoked, ...more })
  else await terminal.line(`${counted(revoked, 'session')} ended in ${name}.`)
}
