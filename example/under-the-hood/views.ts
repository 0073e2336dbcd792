import type { Found } from 'koa-server-session'
import type { Visitor } from '../services/visitor.ts'
import { form } from '../views/form.ts'
import { html, type Html } from '../views/html.ts'
import type { Page } from '../views/layout.ts'
import { RACERS } from './gathering.ts'
import { tripsOf, type Chapter, type Experiment, type Group, type Result, type Step, type Totals } from './journal.ts'
import type { Levers } from './levers.ts'
import { EVENTS, HOOD, SCRIPT, STYLE } from './paths.ts'

/** What lies in the store: a record, nothing, or nobody knows. */
type Lying = Found | undefined | 'unknown'

export interface Look {
  readonly chapter: Chapter
  /** Absent if this page cannot look into the store. */
  readonly record?: { readonly lying: Lying } | undefined
  readonly levers: Levers
}

export function hoodPage(visitor: Visitor, { chapter, record, levers }: Look): Page {
  return {
    title: 'Under the hood',
    visitor,
    head: html`<link rel="stylesheet" href="${STYLE}" />
      <script type="module" src="${SCRIPT}"></script>`,
    body: html`<h1>Under the hood</h1>
      <p>
        What the library does for this browser, and for no other. Open <a href="/" target="_blank">the teas</a> in
        another tab, put one into the cart, and watch.
      </p>
      <div id="hood" data-events="${EVENTS}">
        ${journal(chapter)}
        <div class="halves">${tries(chapter, levers)} ${store(record)}</div>
      </div>`,
  }
}

function journal({ groups, totals }: Chapter): Html {
  return html`<section aria-labelledby="journal-title">
    <div class="heading">
      <h2 id="journal-title">What happens</h2>
      <button id="pause" class="quiet" aria-pressed="false" hidden>Pause</button>
    </div>
    <p id="totals">${totalsText(totals)}</p>
    <p id="said" class="hint" role="status"></p>
    <noscript><p class="hint">Without scripts this page stands still. Reload it to see more.</p></noscript>
    <div class="panel scroll" role="region" aria-labelledby="journal-title" tabindex="0">
      <ol id="journal" reversed>
        ${groups.toReversed().map(groupHtml)}
      </ol>
    </div>
  </section>`
}

export function totalsText({ requests, fromCache, trips }: Totals): string {
  return `${counted(requests, 'request')}, ${fromCache} of them answered from the cache; ${counted(trips, 'trip')} to the store.`
}

/** One item of the journal. */
export function groupHtml(group: Group): Html {
  const { name, at, request, status, by, steps, count } = group
  return html`<li id="line-${name}">
    <div class="request">
      <code>${request}</code>
      <span class="status">${status ?? 'afterwards'}</span>
      ${count > 1 ? html`<span class="badge">${count} times</span>` : undefined}
      ${by === undefined ? undefined : html`<span class="badge">process ${by}</span>`}
    </div>
    <ul class="steps">
      ${steps.map((step) => stepHtml(step, count))}
    </ul>
    <div class="figures">
      ${counted(tripsOf(group), 'trip')} <time datetime="${new Date(at).toISOString()}">${CLOCK.format(at)}</time>
    </div>
  </li> `
}

function stepHtml({ what, microseconds }: Step, count: number): Html {
  if (microseconds === undefined) return html`<li>${what}</li>`
  const each = count > 1 ? ' each' : ''
  return html`<li>
    ${what} <span class="hint">${NUMBER.format(Math.max(1, Math.round(microseconds / count)))} µs${each}</span>
  </li>`
}

function store(record: Look['record']): Html {
  const words = record && recordText(record.lying)
  return html`<section aria-labelledby="record-title">
    <h2 id="record-title">The record in the store</h2>
    ${
      words
        ? html`<p id="record-about">${words.about}</p>
            <pre id="record" class="panel scroll" role="region" aria-labelledby="record-title" tabindex="0">
${words.text}</pre>
            <p class="hint">
              Exactly as it lies there. The secret in the cookie is nowhere in it: the store knows only a hash of it.
              The
              <code>formToken</code> is the one that the forms of this page send.
            </p>`
        : html`<p>This page looks into files and Redis only, and this site keeps its sessions elsewhere.</p>`
    }
  </section>`
}

/** What is said about the record, and its text. */
export function recordText(lying: Lying): { about: string; text: string } {
  if (lying === 'unknown') return { about: 'The store does not answer.', text: '' }
  if (!lying) return { about: 'Nothing yet: a session is stored once something is put into it.', text: '' }
  const { text, version, expiresAt } = lying
  const kind = text.startsWith('{"encrypted"') ? ', encrypted' : ''
  return {
    about: `${counted(Buffer.byteLength(text), 'byte')}${kind}, version ${version}. It ends at ${CLOCK.format(expiresAt)} UTC if it is not used.`,
    text,
  }
}

function tries({ results }: Chapter, levers: Levers): Html {
  return html`<section aria-labelledby="tries-title">
    <h2 id="tries-title">Try to break it</h2>
    ${experiment(
      'race',
      'Fifty requests at once',
      html`${RACERS} requests read this session, wait for each other, and write: each a mark of its own, and one more to
      a common count. The same ${RACERS} go to a site on koa-session beside this one.`,
      'Let them race',
      results,
    )}
    ${experiment(
      'sign-out',
      'Sign out during a slow request',
      html`A request is under way, you sign out, and then the request writes to the session. This ends your session
      here, with its cart.`,
      'Sign out',
      results,
    )}
    ${
      levers.rotate &&
      experiment(
        'key',
        'Change the signing key',
        html`Everybody’s cookie is signed with another key from now on. Nobody is signed out: a cookie of the old key is
        accepted, and signed again.`,
        'Change the key',
        results,
      )
    }
    ${
      levers.stopRedis &&
      experiment(
        'redis',
        'Stop Redis',
        html`The store of both processes goes away for some seconds, for everybody. Look at the shop meanwhile.`,
        'Stop it',
        results,
      )
    }
  </section>`
}

function experiment(name: Experiment, title: string, about: Html, button: string, results: Chapter['results']): Html {
  const result = results.get(name)
  return html`<article id="${name}" class="panel" aria-labelledby="${name}-title">
    <h3 id="${name}-title">${title}</h3>
    <p>${about}</p>
    ${form(`${HOOD}/${name}`, 'inline', html`<button>${button}</button>`)}
    <div id="${name}-result">${result && resultHtml(result)}</div>
  </article>`
}

export function resultHtml({ rows }: Result): Html {
  return html`<dl class="result">
    ${rows.map(
      ({ who, outcome, isGood }) =>
        html`<div class="${isGood ? 'good' : 'bad'}">
          <dt>${who}</dt>
          <dd>${outcome}</dd>
        </div> `,
    )}
  </dl>`
}

/** The same for those who hear it. */
export function sentenceOf({ rows }: Result): string {
  return rows.map(({ who, outcome }) => `${who} ${outcome}.`).join(' ')
}

function counted(number: number, word: string): string {
  return `${NUMBER.format(number)} ${word}${number === 1 ? '' : 's'}`
}

const NUMBER = new Intl.NumberFormat('en')
const CLOCK = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium', timeZone: 'UTC' })
