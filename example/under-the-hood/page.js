// The script of the page under the hood, as the browser gets it. Without it the page stands still, and all else works.

const MOST_LINES = 40
/** Those who hear the page are told how much has happened at most this often, in milliseconds. */
const QUIET = 10_000

const element = (id) => document.getElementById(id)
const journal = element('journal')
const said = element('said')
const pause = element('pause')

/** What came while the page was paused. */
const waiting = []
let isPaused = false
let requests = 0
let spokenRequests = 0
let spokenAt = Date.now()
let hasBegun = false

const show = {
  /** Whenever the stream begins, also after it was lost. */
  journal({ html, ...sums }) {
    journal.innerHTML = html
    add(sums)
    if (!hasBegun) spokenRequests = requests // the page had it when it was read
    hasBegun = true
  },
  line({ name, html, ...sums }) {
    const known = element(`line-${name}`)
    if (known) known.outerHTML = html
    else journal.insertAdjacentHTML('afterbegin', html)
    while (journal.children.length > MOST_LINES) journal.lastElementChild.remove()
    add(sums)
  },
  record({ about, text }) {
    element('record-about').textContent = about
    element('record').textContent = text
  },
  result({ of, html, sentence }) {
    element(`${of}-result`).innerHTML = html
    if (sentence) say(sentence)
  },
}

function add(sums) {
  element('totals').textContent = sums.totals
  requests = sums.requests
}

function say(text) {
  said.textContent = text
  spokenAt = Date.now()
  spokenRequests = requests
}

/** A line at a time would be a noise. */
function sumUp() {
  const more = requests - spokenRequests
  if (more > 0 && Date.now() - spokenAt >= QUIET) say(more === 1 ? 'One more request.' : `${more} more requests.`)
}

function take(name, data) {
  if (isPaused) waiting.push([name, data])
  else show[name](data)
}

function connect() {
  const source = new EventSource(element('hood').dataset.events)
  for (const name of Object.keys(show)) source.addEventListener(name, ({ data }) => take(name, JSON.parse(data)))
  source.addEventListener('over', () => {
    source.close()
    say('The session of this page has ended. Reload the page to go on.')
  })
  source.addEventListener('error', () => {
    // After a lost connection the browser tries again by itself, and after an answer such as 503 it does not.
    if (source.readyState !== EventSource.CLOSED) return
    source.close()
    setTimeout(connect, 3000)
  })
}

pause.hidden = false
pause.addEventListener('click', () => {
  isPaused = !isPaused
  pause.setAttribute('aria-pressed', String(isPaused))
  if (!isPaused) for (const [name, data] of waiting.splice(0)) show[name](data)
})

// Of the experiments, only the sign-out needs a new page. The others tell over the stream what came of them.
for (const form of document.querySelectorAll('#hood form:not([action$="/sign-out"])')) {
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    if (form.ariaBusy === 'true') return
    form.ariaBusy = 'true'
    say('One moment …')
    try {
      const body = new URLSearchParams(new FormData(form))
      const answer = await fetch(form.action, { method: 'POST', body, redirect: 'manual' })
      if (answer.type !== 'opaqueredirect') say('That did not work. Reload the page, and try again.')
    } catch {
      say('The site did not answer.')
    } finally {
      form.ariaBusy = 'false'
    }
  })
}

setInterval(sumUp, 1000)
connect()
