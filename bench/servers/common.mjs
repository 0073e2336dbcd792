// What every server of the benchmark has in common. Plain JavaScript, because the peers are installed beside these files
// and not beside the library: neither its compiler nor its tools have to know them.

/** The options of this process: `{ variant, directory, redisPort, postgres, mariadb, cache }`. */
export const options = JSON.parse(process.argv[2])

export const KEY = 'the signing key of the benchmark'
export const NEXT_KEY = 'the key that takes its place when keys rotate'
export const DAY = 86_400_000

/** One value of the query string. The same few instructions in every framework, so that their parsers do not count. */
export function param(url, name) {
  const at = url.indexOf(`${name}=`)
  if (at === -1) return undefined
  const end = url.indexOf('&', at)
  return url.slice(at + name.length + 1, end === -1 ? undefined : end)
}

export function pathOf(url) {
  const end = url.indexOf('?')
  return end === -1 ? url : url.slice(0, end)
}

let logins = 0
/** Puts into a session what a small shop would: some 200 bytes, and a cart that brings it to `size` bytes. */
export function fill(session, user, size) {
  session.login = ++logins // as an application would keep the time of a login; no two are the same
  session.userId = user
  session.user = { id: user, name: `Name of ${user}`, roles: ['editor', 'author'], locale: 'en' }
  session.views = 1
  session.csrf = 'c5f7a1d09b3e48a6c5f7a1d09b3e48a6'
  if (size > 0) {
    session.cart = []
    for (let bytes = 0, number = 0; bytes < size; bytes += 66, number++) {
      session.cart.push({ sku: `sku-${10_000 + number}`, title: 'A thing in a cart', quantity: 1, price: 1999 })
    }
  }
}

/** What variants without sessions read instead. */
export const CONSTANT = {}
fill(CONSTANT, 'user-0', 0)

export function countKeys(session) {
  return Object.keys(session).filter((name) => /^k\d+$/.test(name)).length
}

export function sleep(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

const calls = {}
/** The same store, each of whose methods is counted when it is called. */
export function counted(store, names) {
  for (const name of names) {
    const method = store[name]
    if (typeof method !== 'function') continue
    calls[name] = 0
    store[name] = function (...args) {
      calls[name]++
      return method.apply(this, args)
    }
  }
  return store
}

let open = () => {}
/** Where the slow request waits for word from the benchmark. */
export function gate() {
  return new Promise((resolve) => {
    open = resolve
    process.send({ entered: true })
  })
}

/** Listens on a free port, and answers what the benchmark asks of this process. */
export function serve(server, { rotate = () => {}, storeCalls = () => calls } = {}) {
  process.on('message', ({ id, ask }) => {
    if (ask === 'usage') {
      const { user, system } = process.cpuUsage()
      process.send({ id, cpu: user + system, storeCalls: storeCalls() })
    } else if (ask === 'memory') {
      const rss = process.memoryUsage.rss() // before the collection, which itself takes and gives back memory
      globalThis.gc()
      process.send({ id, rss, heap: process.memoryUsage().heapUsed })
    } else if (ask === 'rotate') {
      rotate()
      process.send({ id })
    } else if (ask === 'release') {
      open()
      process.send({ id })
    }
  })
  process.on('disconnect', () => process.exit())
  server.keepAliveTimeout = 0
  server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }))
}
