import type { CartLine } from '../services/cart.ts'
import type { Visitor } from '../services/visitor.ts'
import { form } from './form.ts'
import { html, type Html } from './html.ts'
import type { Page } from './layout.ts'
import { price } from './price.ts'

export function cartPage(visitor: Visitor, lines: CartLine[]): Page {
  return {
    title: 'Cart',
    visitor,
    body: html`<h1>Your cart</h1>
      ${lines.length > 0 ? table(lines) : html`<p>It is empty so far. <a href="/">Choose a tea</a>.</p>`}`,
  }
}

function table(lines: CartLine[]): Html {
  const total = lines.reduce((sum, { cents }) => sum + cents, 0)
  return html`<ul class="lines panel">
      ${lines.map(row)}
    </ul>
    <p class="total">
      <a href="/">More tea</a> <span>Together <strong>${price(total)}</strong></span>
    </p>`
}

function row({ tea, quantity, cents }: CartLine): Html {
  const which = html`<input type="hidden" name="tea" value="${tea.id}" />`
  return html`<li>
    <span class="leaf ${tea.id}"></span>
    <span class="name">${tea.name}</span>
    ${form(
      '/cart/quantity',
      'inline',
      html`${which}<input
          type="number"
          name="quantity"
          value="${quantity}"
          min="0"
          max="99"
          required
          aria-label="Quantity of ${tea.name}"
        />
        <button class="quiet">Change</button>`,
    )}
    ${form('/cart/remove', 'inline', html`${which}<button class="quiet" aria-label="Remove ${tea.name}">Remove</button>`)}
    <span class="price">${price(cents)}</span>
  </li> `
}
