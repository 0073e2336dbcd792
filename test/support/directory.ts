import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const made: string[] = []
process.on('exit', () => {
  for (const directory of made) rmSync(directory, { recursive: true, force: true })
})

/** A directory of the test's own, removed when the test's process ends, however it went. */
export function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'koa-server-session-'))
  made.push(directory)
  return directory
}
