import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { temporaryDirectory } from '../temporary-directory.ts'

const run = promisify(execFile)

/**
 * Runs one of `test/support/programs` where it may mount file systems that nobody else sees, and that are gone when it
 * ends: in name spaces of its own, made by util-linux's `unshare`. It is given an empty directory, and answers by JSON.
 */
export async function inNamespace<Answer>(program: string): Promise<Answer> {
  const file = fileURLToPath(new URL(`../programs/${program}.js`, import.meta.url))
  const { stdout } = await run('unshare', [...(await howToUnshare()), process.execPath, file, temporaryDirectory()])
  return JSON.parse(stdout) as Answer
}

/** Most systems let everybody be root in a name space of users; some let only root have a name space at all. */
async function howToUnshare(): Promise<string[]> {
  const ways = [['--user', '--map-root-user', '--mount'], ['--mount']]
  const refusals: unknown[] = []
  for (const way of ways) {
    try {
      await run('unshare', [...way, 'true'])
      return way
    } catch (error) {
      refusals.push(error)
    }
  }
  throw new AggregateError(refusals, 'This test mounts file systems. It needs user name spaces, or to be run by root.')
}
