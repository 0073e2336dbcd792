import type { SessionRecord } from './record.ts'

/** Whose sessions are meant, by names that all have to match: `subject`, and the other names that `identify` was given. */
export type Whose = Readonly<Record<string, string>>

/** The other names of a session, in one order whatever order they were given in. Two with the same text are the same. */
export function inOrder(names: Whose): Whose {
  return Object.fromEntries(Object.entries(names).sort(([one], [other]) => (one < other ? -1 : 1)))
}

/** All names that say whose this session is; none if it is nobody's. */
export function whoseIs({ subject, also }: Pick<SessionRecord, 'subject' | 'also'>): Whose {
  return subject === undefined ? {} : { subject, ...also }
}

/** Whether the session has all of these names. */
export function isOf(record: SessionRecord, whose: Whose): boolean {
  if (record.subject === undefined) return false
  return Object.entries(whose).every(
    ([name, value]) => value === (name === 'subject' ? record.subject : record.also?.[name]),
  )
}

/** Whether both are the same names. */
export function areSame(one: Whose | undefined, other: Whose | undefined): boolean {
  return one === other || JSON.stringify(one) === JSON.stringify(other)
}

/** What is among the first names and not among the others. */
export function without(names: Whose, others: Whose): Whose {
  return Object.fromEntries(Object.entries(names).filter(([name, value]) => others[name] !== value))
}
