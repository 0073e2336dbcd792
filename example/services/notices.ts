import { getSession } from 'koa-server-session'

export interface Notice {
  kind: 'success' | 'problem'
  text: string
}

/** Tells the visitor something on the next page, once. */
export function notify(text: string, kind: Notice['kind'] = 'success'): void {
  getSession().flash('notice', { kind, text } satisfies Notice)
}

/** What the request before this one had to tell. */
export function currentNotice(): Notice | undefined {
  return getSession().flash('notice') as Notice | undefined
}

/** Keeps what the visitor has typed for the form that is shown once more. */
export function keepTyped(name: string): void {
  getSession().flash('typed', name)
}

export function takeTyped(): string {
  return (getSession().flash('typed') as string | undefined) ?? ''
}
