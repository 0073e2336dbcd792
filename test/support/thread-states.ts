import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** What each thread of a process does: `T` is one that is stopped. */
export function threadStates(pid: number): (string | undefined)[] {
  const folder = `/proc/${pid}/task`
  return readdirSync(folder).map((thread) => /\) (\w)/.exec(readFileSync(join(folder, thread, 'stat'), 'utf8'))?.[1])
}
