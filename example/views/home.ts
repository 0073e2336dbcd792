import type { Tea } from '../services/teas.ts'
import type { Visitor } from '../services/visitor.ts'
import { form } from './form.ts'
import { html, type Html } from './html.ts'
import type { Page } from './layout.ts'
import { price } from './price.ts'

/** What the session adds to the home page. */
export interface Personal {
  visitor: Visitor
  visits: number
}

export function homePage(teas: readonly Tea[], personal: Personal | undefined): Page {
  return {
    title: 'Tea',
    visitor: personal?.visitor,
    body: html` <section class="hero">
        <h1>Six teas, no hurry</h1>
        ${personal ? greeting(personal) : html`<p>The cart and sign-in are resting for a moment. The teas are all here.</p>`}
      </section>
      <ul class="teas">
        ${teas.map((tea) => card(tea, personal !== undefined))}
      </ul>`,
  }
}

function greeting({ visits }: Personal): Html {
  return visits === 1
    ? html`<p>Welcome. This is your <strong id="visits">1st</strong> visit: reload to be counted again.</p>`
    : html`<p>Good to see you again. You have been here <strong id="visits">${visits}</strong> times.</p>`
}

function card(tea: Tea, isForSale: boolean): Html {
  const button = html`<input type="hidden" name="tea" value="${tea.id}" />
    <button aria-label="Add ${tea.name} to the cart">Add to cart</button>`
  return html`<li class="card">
    <span class="leaf ${tea.id}"></span>
    <h2>${tea.name}</h2>
    <p>${tea.description}</p>
    <div class="buy">
      <span class="price">${price(tea.cents)}</span> ${isForSale ? form('/cart/add', 'inline', button) : undefined}
    </div>
  </li> `
}
