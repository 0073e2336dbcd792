import type { Session } from 'koa-server-session'
import type { User } from '../services/users.ts'
import type { Visitor } from '../services/visitor.ts'
import { html } from './html.ts'
import type { Page } from './layout.ts'
import { time } from './time.ts'

export function profilePage(visitor: Visitor, user: User, session: Session): Page {
  return {
    title: 'Profile',
    visitor,
    body: html`<h1>${user.name}</h1>
      <p>This page is for signed-in visitors only.</p>
      <dl class="panel">
        <dt>User</dt>
        <dd>${user.id}</dd>
        <dt>Visits</dt>
        <dd>${session.visits ?? 0}</dd>
        <dt>Session began</dt>
        <dd>${time(session.createdAt)}</dd>
        <dt>Ends, if not used</dt>
        <dd>${time(session.expiresAt)}</dd>
        <dt>Its public id</dt>
        <dd><code>${session.id.slice(0, 12)}…</code></dd>
      </dl>
      <p class="choices">
        <a href="/devices">Where you are signed in</a> <a href="/password">Change your password</a>
      </p>`,
  }
}
