import type { Whose } from '../record/whose.ts'
import type { Values } from './command.ts'
import { wrong } from './usage.ts'

/**
 * Whose sessions `--subject` and `--also` mean; `undefined` if neither was given. Throws `ERR_SESSION_OPTION` if an
 * `--also` is no name and value, or contradicts another one.
 */
export function whoseIn({ subject, also }: Pick<Values, 'subject' | 'also'>): Whose | undefined {
  const names = new Map<string, string>(subject === undefined ? [] : [['subject', subject]])
  for (const text of also) {
    const [, name = '', value = ''] = /^([^=]+)=(.+)$/s.exec(text) ?? []
    if (name === '') throw wrong('--also needs a name and its value, such as --also tenant=acme.')
    if (name === 'subject') throw wrong('--also takes the other names of a session; the user is --subject NAME.')
    if (names.has(name)) throw wrong('--also may be repeated with different names; a session has one value of each.')
    names.set(name, value)
  }
  return names.size === 0 ? undefined : Object.fromEntries(names)
}
