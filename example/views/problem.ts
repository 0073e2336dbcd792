import { html } from './html.ts'
import type { Page } from './layout.ts'

const PROBLEMS: Readonly<Record<number, readonly [title: string, text: string]>> = {
  403: [
    'This form is out of date',
    'Your session may have ended meanwhile. Go back, reload the page, and send it again.',
  ],
  404: ['There is no such page', 'The address may be mistyped, or the page may have moved.'],
  409: ['Your session has ended meanwhile', 'You may have signed out in another tab. Nothing was changed.'],
  413: ['That was too much', 'The form holds more than this site takes.'],
  503: [
    'We will be right back',
    'Carts and sign-in cannot be reached at the moment. Nothing of yours is lost; please try again in a minute.',
  ],
}

export function problemPage(status: number): Page {
  const [title, text] = PROBLEMS[status] ?? [
    'Something went wrong',
    'It is our fault, and it has been noted. Please try again.',
  ]
  return {
    title,
    body: html`<p class="status">${status}</p>
      <h1>${title}</h1>
      <p>${text}</p>
      <p class="choices"><a class="button" href="/">To the teas</a></p>`,
  }
}
