import type { Visitor } from '../services/visitor.ts'
import { form } from './form.ts'
import { html, type Html } from './html.ts'

/** What the views make; `show` puts it into the layout. */
export interface Page {
  title: string
  /** `undefined`: a page that uses no session. */
  visitor?: Visitor | undefined
  /** What this page alone has in its head. */
  head?: Html
  body: Html
}

/** `answeredBy`: a line for the footer, where several processes serve the site. */
export function layout({ title, visitor, head, body }: Page, answeredBy?: string): Html {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title} · Leaf &amp; Kettle</title>
        <link rel="icon" href="data:," />
        <link rel="stylesheet" href="/style.css" />
        ${head}
      </head>
      <body>
        <header class="bar">
          <a class="brand" href="/">Leaf &amp; Kettle</a>
          ${visitor && navigation(visitor)}
        </header>
        <main>
          ${visitor?.notice && html`<p class="notice ${visitor.notice.kind}" role="status">${visitor.notice.text}</p>`}
          ${body}
        </main>
        <footer>
          <p>
            The example of <strong>koa-server-session</strong>: plain HTML, no script but
            <a href="/under-the-hood">under the hood</a>. Nothing is sold here.
          </p>
          ${answeredBy && html`<p id="answered-by">${answeredBy}</p>`}
        </footer>
      </body>
    </html> `
}

function navigation({ user, cartSize }: Visitor): Html {
  return html`<nav aria-label="Your pages">
    <a href="/cart">Cart${cartSize > 0 ? html` <span class="count">${cartSize}</span>` : undefined}</a>
    ${
      user
        ? html`<a href="/profile">${user.name}</a>
            ${form('/sign-out', 'inline', html`<button class="quiet">Sign out</button>`)}`
        : html`<a href="/sign-in">Sign in</a>`
    }
  </nav>`
}
