import type { Sighting } from '../../record/scan.ts'
import { DONE, FAILED, NOT_FOUND, type Call, type Command } from '../command.ts'
import { counted, instant, size } from '../format.ts'
import { wrong } from '../usage.ts'
import { canList, cannotList, lineOf, noneIn, visitAll, visitWhose, type SessionLine } from '../sessions.ts'
import { whoseIn } from '../whose.ts'

const COLUMNS = ['ID', 'CREATED', 'LAST SEEN', 'EXPIRES', 'SIZE', 'USER', 'LABEL'] as const
const WIDTHS = [64, 20, 20, 20, 8]

export const list: Command = {
  summary: 'list the live sessions, or those of a user',
  usage: '[--subject NAME] [--also NAME=TEXT] [--cookie NAME] [--limit N] [--json] [--store URL]',
  options: ['subject', 'also', 'cookie', 'limit', 'json', 'store'],
  operands: { least: 0, most: 0, what: '' },
  details: `The sessions come in no particular order. With --json each line is a document of its own: id, createdAt, lastSeenAt,
expiresAt (Unix milliseconds), bytes, subject, label and also (its other names) if it has them, and state: "encrypted" or "unreadable"
instead of what cannot be read. --subject and --also look through all sessions, whichever application they belong to,
for those that have all of these names; with --cookie they ask the index of the application with this cookie.name.`,
  async run(call) {
    const limit = limitIn(call.values)
    const whose = whoseIn(call.values)
    if (call.values.cookie !== undefined && !whose) throw wrong('--cookie goes with --subject or --also.')
    const store = call.openStore()
    if (!canList(store)) return cannotList(call, store)
    const { values, terminal } = call
    const enough = new AbortController()
    const signal = AbortSignal.any([call.signal, enough.signal])
    let count = 0
    let unreadable = 0
    const visit = async (sighting: Sighting): Promise<void> => {
      const line = lineOf(sighting)
      if (!line || signal.aborted) return
      if (count++ === 0 && !values.json) await terminal.line({ style: 'bold', text: row([...COLUMNS]) })
      if (count === limit) enough.abort()
      await print(call, line)
    }
    if (!whose) await visitAll(store, signal, undefined, '', visit)
    else {
      await visitWhose(store, whose, signal, undefined, async (sighting) => {
        // Among all records, one that cannot be read is most likely another user's.
        if (sighting.record === 'unreadable' && !store.hasIndex) unreadable++
        else await visit(sighting)
      })
    }
    if (enough.signal.aborted) {
      terminal.say(`These are ${counted(count, 'session')}; there may be more.`)
      return DONE
    }
    if (unreadable > 0 && !signal.aborted) {
      terminal.say(
        `${counted(unreadable, 'session')} cannot be read, and may be this user’s too. Encrypted? Set SESSION_KEY.`,
      )
    }
    if (count > 0 || signal.aborted) return DONE
    if (unreadable > 0) return FAILED
    terminal.say(noneIn(store, whose))
    return whose ? NOT_FOUND : DONE
  },
}

function limitIn({ limit = 'Infinity' }: Call['values']): number {
  if (limit === 'Infinity' || /^[1-9]\d{0,8}$/.test(limit)) return Number(limit)
  throw wrong('--limit must be a whole number above 0.')
}

async function print({ values, terminal }: Call, line: SessionLine): Promise<void> {
  if (values.json) return terminal.json(line)
  const { id, createdAt, lastSeenAt, expiresAt, bytes, subject = '', label = '', state } = line
  const text = row([
    id,
    ...[createdAt, lastSeenAt, expiresAt].map((at) => (at === undefined ? '-' : instant(at))),
    bytes === undefined ? '-' : size(bytes).padStart(WIDTHS[4] as number),
    state === undefined ? subject || '-' : `(${state})`,
    label,
  ])
  return terminal.line(state === undefined ? text : { style: 'dim', text })
}

function row(cells: readonly string[]): string {
  return cells
    .map((cell, column) => cell.padEnd(WIDTHS[column] ?? 0))
    .join('  ')
    .trimEnd()
}
