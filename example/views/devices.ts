import { MAX_DEVICES, type Device } from '../services/devices.ts'
import type { Visitor } from '../services/visitor.ts'
import { form } from './form.ts'
import { html, type Html } from './html.ts'
import type { Page } from './layout.ts'
import { ago } from './time.ts'

/** `devices` is `undefined` where the session store cannot list them. */
export function devicesPage(visitor: Visitor, devices: Device[] | undefined): Page {
  return {
    title: 'Devices',
    visitor,
    body: html`<h1>Signed in on</h1>
      ${devices ? list(devices) : UNKNOWN}`,
  }
}

const UNKNOWN = html`<p>
    You are signed in on this device. This site keeps its sessions where they cannot be listed, so it cannot tell where
    else you are.
  </p>
  <p>Each device can still be signed out from that device itself.</p>`

function list(devices: Device[]): Html {
  const others = devices.filter(({ isCurrent }) => !isCurrent)
  return html`<p>
      Sign out any device that you do not recognise or no longer use. You can be signed in on ${MAX_DEVICES} devices: on
      one more, the one that signed in first is signed out.
    </p>
    <ul class="devices panel">
      ${devices.filter(({ isCurrent }) => isCurrent).map(thisDevice)} ${others.map(otherDevice)}
    </ul>
    ${
      others.length > 0
        ? form('/devices/sign-out-elsewhere', 'inline', html`<button>Sign out everywhere else</button>`)
        : html`<p class="hint">You are signed in nowhere else.</p>`
    }`
}

function thisDevice({ label, createdAt }: Device): Html {
  return html`<li>
    <span class="name">${label} <span class="badge">this device</span></span>
    <span class="when">Signed in ${ago(createdAt)}, in use now</span>
  </li> `
}

function otherDevice({ id, label, createdAt, lastSeenAt }: Device): Html {
  return html`<li>
    <span class="name">${label}</span>
    <span class="when">Signed in ${ago(createdAt)}, last seen ${ago(lastSeenAt)}</span>
    ${form(
      '/devices/sign-out',
      'inline',
      html`<input type="hidden" name="device" value="${id}" />
        <button class="quiet" aria-label="Sign out ${label}">Sign out</button>`,
    )}
  </li> `
}
