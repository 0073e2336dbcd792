import type { DemoSignIn } from '../services/users.ts'
import type { Visitor } from '../services/visitor.ts'
import { form } from './form.ts'
import { html } from './html.ts'
import type { Page } from './layout.ts'

/** `typed`: the name of a sign-in that has failed, or the empty string. */
export function signInPage(visitor: Visitor, typed: string, demo: readonly DemoSignIn[]): Page {
  return {
    title: 'Sign in',
    visitor,
    body: html`<div class="narrow">
      <h1>Sign in</h1>
      ${form(
        '/sign-in',
        'panel',
        html`<label
            >Name <input name="name" value="${typed}" autocomplete="username" autocapitalize="none" required
          /></label>
          <label>Password <input type="password" name="password" autocomplete="current-password" required /></label>
          <label class="check"
            ><input type="checkbox" name="remember" value="yes" /> Remember me on this device for 30 days</label
          >
          <button>Sign in</button>`,
      )}
      ${
        demo.length > 0
          ? html`<p class="hint">
              To try: ${demo.map(({ id, password }) => html`<br /><code>${id}</code> with <code>${password}</code>`)}
            </p>`
          : undefined
      }
    </div>`,
  }
}

/** Uses no session: the visitor has none any more, and gets none for this page. */
export function signedOutPage(): Page {
  return {
    title: 'Signed out',
    body: html`<h1>You are signed out</h1>
      <p>Your session has ended on the server, and the browser has forgotten its cookie.</p>
      <p class="choices"><a class="button" href="/">Back to the teas</a> <a href="/sign-in">Sign in again</a></p>`,
  }
}
