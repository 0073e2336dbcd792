import type { User } from '../services/users.ts'
import type { Visitor } from '../services/visitor.ts'
import { form } from './form.ts'
import { html, type Html } from './html.ts'
import type { Page } from './layout.ts'

export const SHORTEST_PASSWORD = 8

/** Asks somebody who is signed in for the password once more. */
export function confirmPage(visitor: Visitor, user: User): Page {
  return {
    title: 'Confirm that it is you',
    visitor,
    body: html`<div class="narrow">
      <h1>Confirm that it is you</h1>
      <p>You are signed in as ${user.name}. What comes next needs your password once more.</p>
      ${form(
        '/confirm',
        'panel',
        html`${nameOf(user)}
          <label
            >Password <input type="password" name="password" autocomplete="current-password" autofocus required
          /></label>
          <button>Confirm</button>`,
      )}
      <p><a href="/profile">Back to your profile</a></p>
    </div>`,
  }
}

export function passwordPage(visitor: Visitor, user: User): Page {
  return {
    title: 'Change your password',
    visitor,
    body: html`<div class="narrow">
      <h1>Change your password</h1>
      <p>All your other devices will be signed out.</p>
      ${form(
        '/password',
        'panel',
        html`${nameOf(user)}
          <label
            >New password
            <input
              type="password"
              name="password"
              autocomplete="new-password"
              minlength="${SHORTEST_PASSWORD}"
              required
            />
            <span class="hint">At least ${SHORTEST_PASSWORD} characters</span></label
          >
          <button>Change it</button>`,
      )}
      <p><a href="/profile">Back to your profile</a></p>
    </div>`,
  }
}

/** So that a password manager knows whose password it is. */
function nameOf({ id }: User): Html {
  return html`<input name="name" value="${id}" autocomplete="username" hidden readonly />`
}
