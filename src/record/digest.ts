import { hash } from 'node:crypto'
import type { Entry } from './entry.ts'

const LENGTH = 16 // 96 bits of base64url

/** A short name of a value and of where it stands: another value, or another place, has another one. */
export function digestOf(name: string, { text }: Entry): string {
  return hash('sha256', `${JSON.stringify(name)}:${text}`, 'base64url').slice(0, LENGTH)
}
