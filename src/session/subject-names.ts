import { createHmac, hash, type KeyObject } from 'node:crypto'
import type { SubjectName } from '../units.ts'

/**
 * The names under which an index may know a subject: the one to write under first, then those of older keys. `kind`: the
 * name of which this is the value, if it is none of a subject (see `Whose`).
 */
export type SubjectNames = (value: string, kind?: string) => readonly SubjectName[]

/**
 * How one middleware names its subjects: by an HMAC under each of its keys, newest first. So nobody who reads the store
 * can tell or try out whose sessions are there, and two applications with different keys, or two middlewares with
 * different cookie names, never meet in an index. Without keys (a Keygrip hides its secrets) by a plain SHA-256.
 */
export function subjectNames(cookieName: string, keys: readonly KeyObject[]): SubjectNames {
  // Neither the name of a cookie nor a kind holds a space, and none is empty, so no two of them make the same text.
  return (value, kind = 'subject') => {
    const text = kind === 'subject' ? `${cookieName} ${value}` : ` ${cookieName} ${kind} ${value}`
    if (keys.length === 0) return [hash('sha256', `subject ${text}`, 'hex')]
    return keys.map((key) => createHmac('sha256', key).update(text).digest('hex'))
  }
}
