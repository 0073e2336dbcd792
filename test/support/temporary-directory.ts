import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const made: string[] = []
process.on('exit', () => {
  for (const directory of made) rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
})

/**
 * A new, empty directory, which is removed when this process ends. Not earlier: by then the programs and servers that a
 * test has started are ended, and none of them writes into the directory any more.
 */
export function temporaryDirectory(name = 'koa-server-session'): string {
  const directory = mkdtempSync(join(tmpdir(), `${name}-`))
  made.push(directory)
  return directory
}
