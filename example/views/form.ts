import { FORM_TOKEN, formToken } from '../services/form-token.ts'
import { html, type Html } from './html.ts'

/** A form with the token that every form of this site must send. */
export function form(action: string, className: string, content: Html): Html {
  return html`<form method="post" action="${action}" class="${className}">
    <input type="hidden" name="${FORM_TOKEN}" value="${formToken()}">
    ${content}
  </form>`
}
