/*
 * A process of its own that deals with ada's sessions on the store of a URL:
 * `node subject-process.js <url> <what> [milliseconds]`.
 * `die`: signs her in, says the session's key, and dies between the save and the second note.
 * `list`, `prune`, `revoke`: with a clock that is ahead by so much; says how many.
 */
import { writeSync } from 'node:fs'
import type { Store } from '../../../src/store.ts'

const [url = '', what = '', ahead = '0'] = process.argv.slice(2)
const now = Date.now.bind(Date)
Date.now = () => now() + Number(ahead)

// Loaded with the clock as it is from here on.
const { storeFromUrl } = await import('../../../src/stores/url.ts')
const { visits } = await import('../visit.ts')

const store = storeFromUrl(url)

if (what === 'die') {
  const dying: Store = {
    ...store,
    async save(...args) {
      await store.save(...args)
      writeSync(1, `${args[0]}\n`)
      process.kill(process.pid, 'SIGKILL')
      return new Promise(() => {})
    },
  }
  const { session, end } = visits({ store: dying }).stranger()
  session.identify('ada')
  await end()
}

const { subjects } = visits({ store }).lifecycle
let count: number
if (what === 'list') count = (await subjects.list('ada', undefined)).length
else if (what === 'prune') count = (await store.prune?.()) ?? 0
else count = (await subjects.revokeAll('ada', [])).revoked
writeSync(1, `${count}\n`)
process.exit()
