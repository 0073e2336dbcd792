import type { Entry } from '../../record/entry.ts'
import type { SessionRecord } from '../../record/record.ts'
import { lookAt } from '../../record/scan.ts'
import type { Milliseconds } from '../../units.ts'
import { wholeIds } from '../beginnings.ts'
import { assertId, isWhole } from '../usage.ts'
import { DONE, FAILED, NOT_FOUND, type Call, type Command } from '../command.ts'
import { duration, instant, size } from '../format.ts'
import { plainJson } from '../plain-json.ts'
import { pretty } from '../pretty.ts'
import { lineOf, type SessionLine } from '../sessions.ts'
import type { StoredFound } from '../store.ts'

export const show: Command = {
  summary: 'show one session with its data',
  usage: 'ID [--json] [--store URL]',
  options: ['json', 'store'],
  operands: { least: 1, most: 1, what: 'one id' },
  details: `ID may be the first 8 digits or more, if no other session's id begins with them.
With --json the output is one document: what list --json says of the session, idleTimeout and absoluteTimeout
(milliseconds), persistent, proved, data and flash, whose values are lists, oldest first. Values are JSON that any program
reads: a Date is its instant in ISO 8601, a Map an object, or a list of pairs if its keys are no texts, a Set a list,
a typed array a list of numbers, bytes are base64, undefined and holes are null, and a BigInt, NaN, a RegExp, a URL and
the like their text. A value stays as it is stored, {"~": …}, if only the application's serializer can read it, if it
contains itself, or if it would become more than ten times longer.`,
  async run(call) {
    for (const id of call.operands) assertId(id)
    const opened = call.openStore()
    const { store, name } = opened
    const [id = ''] = await wholeIds(opened, call.operands)
    const { terminal, values } = call
    const sighting = isWhole(id) ? await lookAt(store, id) : undefined
    const line = sighting && lineOf(sighting)
    if (!line || !sighting) {
      terminal.say(`There is no live session of this id in ${name}.`)
      return NOT_FOUND
    }
    const record = typeof sighting.record === 'object' ? sighting.record : undefined
    if (values.json) await terminal.jsonText(document(line, record))
    else await print(call, line, record, sighting.found?.version)
    if (record) return DONE
    const why = (sighting.found as StoredFound | undefined)?.whyEncrypted
    terminal.say(
      why === undefined
        ? 'Its record cannot be read: another release or another program wrote it.'
        : `Its record is encrypted: ${why}.`,
    )
    return FAILED
  },
}

async function print(
  { terminal }: Call,
  line: SessionLine,
  record: SessionRecord | undefined,
  version: number | undefined,
): Promise<void> {
  const now = Date.now()
  const ago = (at: number): string => `${instant(at)}  ${duration(now - at)} ago`
  const facts: [name: string, value: string | undefined][] = [
    ['id', line.id],
    ['created', line.createdAt === undefined ? undefined : ago(line.createdAt)],
    ['last seen', line.lastSeenAt === undefined ? undefined : ago(line.lastSeenAt)],
    [
      'expires',
      line.expiresAt === undefined ? undefined : `${instant(line.expiresAt)}  in ${duration(line.expiresAt - now)}`,
    ],
    ['idle timeout', lengthOf(record?.idleTimeout)],
    ['absolute timeout', lengthOf(record?.absoluteTimeout)],
    ['cookie', record && (record.persistent ? 'outlives the browser' : 'ends with the browser')],
    ['user', line.subject],
    ['label', line.label],
    ...Array.from(record?.proofs ?? [], ([kind, at]): [string, string] => ['proved', `${ago(at)}  by ${kind}`]),
    ['size', line.bytes === undefined ? undefined : size(line.bytes)],
    ['version', version?.toString()],
  ]
  for (const [name, value] of facts) {
    if (value !== undefined) await terminal.line({ style: 'dim', text: name.padEnd(16) }, `  ${value}`)
  }
  if (!record) return
  for (const [heading, entries] of [
    ['data', [...record.entries]],
    ['flash', [...record.flash].flatMap(([key, notices]) => notices.map(({ entry }): [string, Entry] => [key, entry]))],
  ] as const) {
    if (heading === 'flash' && entries.length === 0) continue
    await terminal.line()
    await terminal.line({ style: 'bold', text: heading }, entries.length === 0 ? '  (none)' : '')
    for (const [name, entry] of entries) {
      const [first = '', ...more] = pretty(name, entry).split('\n')
      await terminal.line(`  ${name}: ${first}`)
      for (const line of more) await terminal.line(`  ${line}`)
    }
  }
}

function lengthOf(length: Milliseconds | undefined): string | undefined {
  return length === undefined ? undefined : duration(length)
}

/** Built from texts, so that what is stored as JSON is shown as it is stored. */
function document(line: SessionLine, record: SessionRecord | undefined): string {
  const { idleTimeout, absoluteTimeout, persistent, proofs } = record ?? {}
  const proved = proofs && Object.fromEntries(proofs)
  const facts = JSON.stringify({ ...line, idleTimeout, absoluteTimeout, persistent, proved })
  if (!record) return facts
  const data = Array.from(record.entries, ([name, entry]) => [name, plainJson(name, entry)] as const)
  const flash = Array.from(record.flash, ([key, notices]) => {
    return [key, `[${notices.map(({ entry }) => plainJson(key, entry)).join(',')}]`] as const
  })
  return `${facts.slice(0, -1)},"data":${objectText(data)},"flash":${objectText(flash)}}`
}

function objectText(members: readonly (readonly [name: string, text: string])[]): string {
  return `{${members.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(',')}}`
}
