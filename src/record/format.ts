import { unreadable } from '../errors.ts'
import type { Found } from '../store.ts'
import { Entry } from './entry.ts'
import type { SessionRecord } from './record.ts'

/** Of the text. A later one may be written by a later release, and is then left alone by this one. */
const FORMAT = 1

/**
 * The record as one JSON document, for people with `cat` and `redis-cli GET` and for other programs. Each value stands
 * on a line of its own, so that a changed key costs that key's text and the others are copied as they are.
 */
export function format(record: SessionRecord): string {
  const { createdAt, idleTimeout, absoluteTimeout, persistent, subject, label } = record
  return (
    `{"format":${FORMAT},"createdAt":${createdAt},"idleTimeout":${idleTimeout},"absoluteTimeout":${absoluteTimeout}` +
    `${persistent ? ',"persistent":true' : ''}${subject === undefined ? '' : `,"subject":${JSON.stringify(subject)}`}` +
    `${label === undefined ? '' : `,"label":${JSON.stringify(label)}`},"data":${formatEntries(record.entries)}` +
    `${record.flash.size > 0 ? `,"flash":${formatEntries(record.flash)}` : ''}}`
  )
}

function formatEntries(entries: SessionRecord['entries']): string {
  if (entries.size === 0) return '{}'
  let text = '{'
  for (const [name, entry] of entries) text += `${text === '{' ? '' : ','}\n${JSON.stringify(name)}:${entry.text}`
  return `${text}\n}`
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
  const { format: found, createdAt, idleTimeout, absoluteTimeout, persistent, subject, label, data, flash } = document
  if (found !== FORMAT) {
    throw unreadable(`its format is ${typeof found === 'number' ? found : 'unknown'}, and this release reads ${FORMAT}`)
  }
  if (!isLength(createdAt) || !isLength(idleTimeout) || !isLength(absoluteTimeout) || !isObject(data)) {
    throw unreadable('a field is missing or has another type')
  }
  if (flash !== undefined && !isObject(flash)) throw unreadable('its flash values are not an object')
  const texts = valueTexts(text)
  return {
    createdAt,
    idleTimeout,
    absoluteTimeout,
    persistent: persistent === true,
    ...(typeof subject === 'string' && { subject }),
    ...(typeof label === 'string' && { label }),
    entries: readEntries(data, texts.data),
    flash: flash ? readEntries(flash, texts.flash) : new Map(),
  }
}

/** `texts`: as they stand in the record, where they are known; what is made of the values instead has the same meaning. */
function readEntries(values: Record<string, unknown>, texts: Map<string, string>): Map<string, Entry> {
  const names = Object.keys(values)
  const isComplete = texts.size === names.length && names.every((name) => texts.has(name))
  if (!isComplete && texts.size > 0) {
    // Either somebody else laid the lines out, or names were misread, which Node 24 and 26 do now and then where a name
    // is one character that JSON escapes. If each line holds a whole value, the lines are right.
    const whole = wholeEntries(texts)
    if (whole) return whole
  }
  const entries = new Map<string, Entry>()
  for (const name of isComplete ? texts.keys() : names) {
    entries.set(name, new Entry(isComplete ? (texts.get(name) as string) : JSON.stringify(values[name]), values[name]))
  }
  return entries
}

/** `undefined` if a text is a part of a value only. */
function wholeEntries(texts: Map<string, string>): Map<string, Entry> | undefined {
  try {
    return new Map(Array.from(texts, ([name, text]) => [name, new Entry(text, JSON.parse(text))]))
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

function isLength(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}
