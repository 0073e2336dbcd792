/*
 * A process that saves one file session as fast as it can and says so:
 * `node session-writer.js <directory> <key> <name>`.
 * It counts under its own name in the record's text, where it also puts the record's end, and writes `<count>\n` to stdout once a save was acknowledged.
 */
import { writeSync } from 'node:fs'
import { fileStore } from '../../../src/stores/file.ts'

const [directory, key, name] = process.argv.slice(2) as [string, string, string]
const store = fileStore({ directory, pruneInterval: 0 })

for (;;) {
  let known = await store.load(key)
  if (known === undefined) throw new Error('the session is not there')
  for (;;) {
    const { counts, padding } = JSON.parse(known.text) as { counts: Record<string, number>; padding: string }
    const count = (counts[name] ?? 0) + 1
    const expiresAt = Date.now() + 60_000
    const text = JSON.stringify({ counts: { ...counts, [name]: count }, padding, expiresAt })
    const answer = await store.save(key, text, expiresAt, known)
    if (answer.gone) throw new Error('the session is gone')
    if (answer.saved) {
      // At once, not buffered: what is said here has been promised, even if the next instruction is the last.
      writeSync(1, `${count}\n`)
      known = answer.saved
      break
    }
    known = answer.conflict
  }
}
