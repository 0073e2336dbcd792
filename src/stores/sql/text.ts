import type { Found } from '../../store.ts'
import type { Instant } from '../../units.ts'
import { unreadable } from '../../errors.ts'
import type { Row } from './database.ts'

/*
 * PostgreSQL's `text` cannot hold NUL. The library's own records are JSON, so they hold none and stay readable in the
 * table. Only a text with NUL, or one that begins as an escaped text does, is escaped.
 */
const ESCAPE = '\\'

/** The text as it stands in the table. */
export function toColumn(text: string): string {
  if (!text.startsWith(ESCAPE) && !text.includes('\0')) return text
  return ESCAPE + text.replaceAll('\\', '\\\\').replaceAll('\0', '\\0')
}

function fromColumn(data: string): string {
  if (!data.startsWith(ESCAPE)) return data
  return data.slice(1).replace(/\\([\\0])/g, (_, escaped: string) => (escaped === '0' ? '\0' : escaped))
}

/** The record in a row. Throws `ERR_SESSION_UNREADABLE` if the row holds none. */
export function recordIn({ version, ends_at: endsAt, data }: Row): Found {
  const text = data instanceof Uint8Array ? textOf(data) : data
  const found = { version: Number(version), expiresAt: Number(endsAt) }
  if (typeof text !== 'string' || !Number.isSafeInteger(found.version) || !Number.isSafeInteger(found.expiresAt)) {
    throw unreadable('a row of the table holds something else; give the sessions a table of their own')
  }
  return { text: fromColumn(text), ...found, parsed: undefined }
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return UTF8.decode(bytes)
  } catch {
    return undefined
  }
}

/** When the record of a row ends. */
export function endOf({ ends_at: endsAt }: Row): Instant {
  return Number(endsAt)
}
