import { createHmac, hash, type KeyObject } from 'node:crypto'
import type { SubjectName } from '../units.ts'

/** The names under which an index may know a subject: the one to write under first, then those of older keys. */
export type SubjectNames = (subject: string) => readonly SubjectName[]

/**
 * How one middleware names its subjects: by an HMAC under each of its keys, newest first. So nobody who reads the store
 * can tell or try out whose sessions are there, and two applications with different keys, or two middlewares with
 * different cookie names, never meet in an index. Without keys (a Keygrip hides its secrets) by a plain SHA-256.
 */
export function subjectNames(cookieName: string, keys: readonly KeyObject[]): SubjectNames {
  // The name of a cookie holds no space, so no two pairs make the same text.
  return (subject) => {
    const text = `${cookieName} ${subject}`
    if (keys.length === 0) return [hash('sha256', `subject ${text}`, 'hex')]
    return keys.map((key) => createHmac('sha256', key).update(text).digest('hex'))
  }
}
