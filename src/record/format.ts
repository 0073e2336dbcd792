import { unreadable } from '../errors.ts'
import type { Found } from '../store.ts'
import { Entry } from './entry.ts'
import { escapeName, unescapeName } from './names.ts'
import { noticeWithoutId, type Notice, type Notices } from './notices.ts'
import type { Proofs } from './proofs.ts'
import type { SessionRecord } from './record.ts'
import { isTimeout } from './timeouts.ts'
import { isTurn } from './turn.ts'
import type { Whose } from './whose.ts'
import type { Instant } from '../units.ts'

/** Of the text. A later one may be written by a later release, and is then left alone by this one. */
const FORMAT = 1

/** The last instant of which JavaScript can make a Date. */
const LATEST: Instant = 8.64e15

/** In the head of a record whose names were written by `escapeName`; absent, as in most records, if none needs it. */
const ESCAPED_NAMES = ',"escapedNames":true'

/**
 * The record as one JSON document, for people with `cat` and `redis-cli GET` and for other programs. Each value stands
 * on a line of its own, so that a changed key costs that key's text and the others are copied as they are.
 */
export function format(record: SessionRecord): string {
  return formatWith(record, '', String) ?? (formatWith(record, ESCAPED_NAMES, escapeName) as string)
}

/** `undefined` if a name has a backslash in its text. */
function formatWith(record: SessionRecord, mark: string, nameText: (name: string) => string): string | undefined {
  const { createdAt, idleTimeout, absoluteTimeout, persistent, subject, label, also, turn, proofs, unheld } = record
  const data = formatEntries(record.entries, nameText)
  const flash = record.flash.size > 0 ? formatEntries(newestOf(record.flash), nameText) : ''
  if (data === undefined || flash === undefined) return undefined
  return (
    `{"format":${FORMAT},"createdAt":${createdAt},"idleTimeout":${idleTimeout},"absoluteTimeout":${absoluteTimeout}` +
    `${persistent ? ',"persistent":true' : ''}${subject === undefined ? '' : `,"subject":${JSON.stringify(subject)}`}` +
    `${label === undefined ? '' : `,"label":${JSON.stringify(label)}`}` +
    `${also === undefined ? '' : `,"also":${JSON.stringify(also)}`}` +
    `${turn === undefined ? '' : `,"turn":"${turn}"`}` +
    `${proofs === undefined ? '' : `,"proofs":${JSON.stringify(Object.fromEntries(proofs))}`}` +
    `${unheld === undefined ? '' : `,"unheld":${JSON.stringify(unheld)}`}${mark}` +
    `${formatNotices(record.flash, nameText)},"data":${data}` +
    `${flash ? `,"flash":${flash}` : ''}}`
  )
}

function formatEntries(entries: SessionRecord['entries'], nameText: (name: string) => string): string | undefined {
  if (entries.size === 0) return '{}'
  let text = '{'
  for (const [name, entry] of entries) {
    const quoted = JSON.stringify(nameText(name))
    if (quoted.includes('\\')) return undefined
    text += `${text === '{' ? '' : ','}\n${quoted}:${entry.text}`
  }
  return `${text}\n}`
}

/**
 * The newest notice of each key stands beside the data, where releases that knew one notice of a key have it. Before the
 * data stand the ids of all of them, and the values of the older ones.
 */
function newestOf(notices: Notices): Map<string, Entry> {
  return new Map(Array.from(notices, ([key, list]) => [key, (list.at(-1) as Notice).entry]))
}

function formatNotices(notices: Notices, nameText: (name: string) => string): string {
  if (notices.size === 0) return ''
  const lists = Array.from(notices, ([key, list]) => {
    const items = list.map(({ id, entry }, index) => {
      const older = index < list.length - 1 ? `,${entry.text}` : ''
      return `[${JSON.stringify(id)}${older}]`
    })
    return `${JSON.stringify(nameText(key))}:[${items.join(',')}]`
  })
  return `,"notices":{${lists.join(',')}}`
}

/** The record of what a store found, decoded once. Throws `ERR_SESSION_UNREADABLE`. */
export function recordOf(found: Found): SessionRecord {
  return (found.parsed ??= parse(found.text)) as SessionRecord
}

/** Reads what `format` wrote; throws `ERR_SESSION_UNREADABLE` for anything else. */
export function parse(text: string): SessionRecord {
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch {
    // The parser's message quotes the text, which is somebody's data.
    throw unreadable('it is not JSON, or was cut short')
  }
  if (!isObject(document)) throw unreadable('it is not a session record')
  const { format: found, createdAt, idleTimeout, absoluteTimeout, persistent, subject, label, ...rest } = document
  const { escapedNames, data, flash = {}, notices, also, turn, proofs = {}, unheld } = rest
  if (found !== FORMAT) {
    throw unreadable(`its format is ${typeof found === 'number' ? found : 'unknown'}, and this release reads ${FORMAT}`)
  }
  if (!isInstant(createdAt) || !isTimeout(idleTimeout) || !isTimeout(absoluteTimeout) || !isObject(data)) {
    throw unreadable('a field is missing or has another type')
  }
  if (!isTextOrAbsent(subject) || !isTextOrAbsent(label)) throw unreadable('its subject or its label is not a text')
  if (turn !== undefined && !isTurn(turn)) throw unreadable('its place among the sign-ins is none')
  if (!areTexts(also)) throw unreadable('its other names are not an object of texts')
  if (!isObject(flash)) throw unreadable('its flash values are not an object')
  if (!areProofs(proofs)) throw unreadable('what it says of proofs is not an instant for each kind')
  if (!isListOfTexts(unheld)) throw unreadable('what it says of the session before it is no list of texts')
  const texts = valueTexts(text)
  const nameOf = escapedNames === true ? unescapeName : String
  const entries = readEntries(data, texts.data, nameOf)
  // No session has data of this name, because copying it with Object.assign would replace the copy's prototype.
  entries.delete('__proto__')
  return {
    createdAt,
    idleTimeout,
    absoluteTimeout,
    persistent: persistent === true,
    ...(subject !== undefined && { subject }),
    ...(label !== undefined && { label }),
    ...(also && { also }),
    ...(turn !== undefined && { turn }),
    ...proofsIn(proofs),
    entries,
    flash: readNotices(readEntries(flash, texts.flash, nameOf), notices, nameOf),
    ...(unheld && { unheld }),
  }
}

/** `texts`: as they stand in the record, if they are known; what is made of the values instead has the same meaning. */
function readEntries(
  values: Record<string, unknown>,
  texts: Map<string, string>,
  nameOf: (text: string) => string,
): Map<string, Entry> {
  const names = Object.keys(values)
  const isComplete = texts.size === names.length && names.every((name) => texts.has(name))
  if (!isComplete && texts.size > 0) {
    // Somebody else laid the lines out, or Node misread a name with a backslash, which version 0.1.0 wrote: see
    // `names.ts`. If each line holds a whole value, the lines are right.
    const whole = wholeEntries(texts, nameOf)
    if (whole) return whole
  }
  const entries = new Map<string, Entry>()
  for (const name of isComplete ? texts.keys() : names) {
    const value = values[name]
    entries.set(nameOf(name), new Entry(isComplete ? (texts.get(name) as string) : textOf(value), value))
  }
  return entries
}

/** `newest`: of each key. `lists`: what the record says of the notices, which is nothing if an older release wrote it. */
function readNotices(newest: Map<string, Entry>, lists: unknown, nameOf: (text: string) => string): Notices {
  if (lists === undefined && newest.size === 0) return NONE
  if (lists !== undefined && !isObject(lists)) throw unreadable(NOT_NOTICES)
  const known = new Map(Object.entries(lists ?? {}).map(([name, list]) => [nameOf(name), list]))
  const notices = new Map<string, readonly Notice[]>()
  for (const [key, entry] of newest) {
    const list = known.get(key)
    known.delete(key)
    notices.set(key, list === undefined ? [noticeWithoutId(key, entry)] : readList(list, entry))
  }
  if (known.size > 0) throw unreadable(NOT_NOTICES)
  return notices
}

const NONE: Notices = new Map()
const NOT_NOTICES = 'what it says of its flash values is not as this release writes it'

function readList(list: unknown, newest: Entry): Notice[] {
  if (!Array.isArray(list) || list.length === 0) throw unreadable(NOT_NOTICES)
  return list.map((item: unknown, index): Notice => {
    const isNewest = index === list.length - 1
    if (!Array.isArray(item) || item.length !== (isNewest ? 1 : 2)) throw unreadable(NOT_NOTICES)
    const [id, value] = item as [unknown, unknown]
    if (typeof id !== 'string') throw unreadable(NOT_NOTICES)
    return { id, entry: isNewest ? newest : new Entry(textOf(value), value) }
  })
}

function textOf(value: unknown): string {
  try {
    return JSON.stringify(value)
  } catch {
    throw unreadable('a value in it is nested too deeply')
  }
}

/** `undefined` if a text is a part of a value only. */
function wholeEntries(texts: Map<string, string>, nameOf: (text: string) => string): Map<string, Entry> | undefined {
  try {
    return new Map(Array.from(texts, ([name, text]) => [nameOf(name), new Entry(text, JSON.parse(text))]))
  } catch {
    return undefined
  }
}

const NAME = /^"(?:[^"\\]|\\.)*":/s
const CLOSING: Readonly<Record<string, string>> = { '{': '}', '[': ']', '"': '"' }

/** What `format` writes between the data and the flash values, on a line of its own. */
const FLASH = '},"flash":{'

/**
 * The text of each value as it stands in the record. JSON has no raw line breaks, so lines are values if `format` laid
 * them out, and taking the line is cheaper than making the text anew. Nothing if somebody else laid them out otherwise.
 */
function valueTexts(text: string): { data: Map<string, string>; flash: Map<string, string> } {
  const lines = text.split('\n')
  const first = lines.shift() as string
  if (lines.pop() !== '}}') return { data: new Map(), flash: new Map() }
  if (first.endsWith(`,"data":{${FLASH}`)) return { data: new Map(), flash: textsOf(lines) }
  if (!first.endsWith(',"data":{')) return { data: new Map(), flash: new Map() }
  const border = lines.indexOf(FLASH)
  if (border === -1) return { data: textsOf(lines), flash: new Map() }
  return { data: textsOf(lines.slice(0, border)), flash: textsOf(lines.slice(border + 1)) }
}

function textsOf(lines: string[]): Map<string, string> {
  const texts = new Map<string, string>()
  for (const [index, line] of lines.entries()) {
    const isLast = index === lines.length - 1
    const name = NAME.exec(line)?.[0]
    if (name === undefined || line.endsWith(',') === isLast) return new Map()
    const value = line.slice(name.length, isLast ? undefined : -1)
    if (!isOneValue(value)) return new Map()
    texts.set(JSON.parse(name.slice(0, -1)) as string, value)
  }
  return texts
}

/** Written without blanks, and complete as far as its ends tell. */
function isOneValue(text: string): boolean {
  const closing = CLOSING[text.charAt(0)]
  return closing === undefined
    ? /^[\w.+-]+$/.test(text)
    : text.length > 1 && text.endsWith(closing) && !/^[[{]\s/.test(text)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isInstant(value: unknown): value is Instant {
  return typeof value === 'number' && value >= 0 && value <= LATEST
}

function areProofs(value: unknown): value is Record<string, Instant> {
  return isObject(value) && Object.values(value).every(isInstant)
}

/** Nothing in most records, also in those of a release that knew no proofs. */
function proofsIn(values: Record<string, Instant>): { proofs?: Proofs } {
  const proofs = Object.entries(values)
  return proofs.length > 0 ? { proofs: new Map(proofs) } : {}
}

function isListOfTexts(value: unknown): value is readonly string[] | undefined {
  return value === undefined || (Array.isArray(value) && value.every((item) => typeof item === 'string'))
}

function areTexts(value: unknown): value is Whose | undefined {
  return value === undefined || (isObject(value) && Object.values(value).every((item) => typeof item === 'string'))
}

function isTextOrAbsent(value: unknown): value is string | undefined {
  return value === undefined || typeof value === 'string'
}
