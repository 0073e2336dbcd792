import { statSync, utimesSync } from 'node:fs'
import { readdir, rmdir, unlink } from 'node:fs/promises'
import type { SubjectIndex } from '../../store.ts'
import { isKey, type Instant, type Key, type SubjectName } from '../../units.ts'
import { codeOf, makeDirectory, removeFile, writeFile } from './disk.ts'
import { subjectsOf } from './layout.ts'
import { makeRoot } from './root.ts'

/**
 * A note is an empty file `subjects/<subject>/<key>` whose time is the instant at which the session can no longer live.
 * Two processes that note one key write one name, so there is nothing to race for.
 */
export function fileSubjects(root: string, durable: boolean): SubjectIndex {
  function directoryOf(subject: SubjectName): string {
    return `${subjectsOf(root)}/${subject}`
  }

  function note(directory: string, key: Key, until: Instant): boolean {
    try {
      writeFile(`${directory}/${key}`, '', durable)
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return false
      if (codeOf(error) !== 'EEXIST') throw error
    }
    return writeTime(`${directory}/${key}`, until)
  }

  return {
    add(subject, key, until) {
      const directory = directoryOf(subject)
      // Between the two steps a prune may take the empty directory away.
      for (let tries = 0; tries < 10 && !note(directory, key, until); tries++) {
        makeRoot(root, durable)
        makeDirectory(subjectsOf(root))
        makeDirectory(directory)
      }
    },
    remove: (subject, key) => removeFile(`${directoryOf(subject)}/${key}`),
    async *keys(subject) {
      for (const name of await namesIn(directoryOf(subject))) if (isKey(name)) yield name
    },
  }
}

/** Removes the notes whose time has passed, and the subjects that have none left. */
export async function pruneSubjects(root: string, rest: () => Promise<void>, signal: AbortSignal): Promise<void> {
  for (const subject of await namesIn(subjectsOf(root))) {
    if (signal.aborted) return
    if (!isKey(subject)) continue
    const directory = `${subjectsOf(root)}/${subject}`
    let left = 0
    for (const name of await namesIn(directory)) {
      const until = isKey(name) ? readTime(`${directory}/${name}`) : undefined
      if (until !== undefined && until <= Date.now()) await ignoring(unlink(`${directory}/${name}`))
      else left++
      await rest()
    }
    if (left === 0) await ignoring(rmdir(directory))
  }
}

/** The instant in a note; `undefined` if it is not there any more. */
function readTime(note: string): Instant | undefined {
  // Times go to the file system and come back as fractional seconds, off by less than a microsecond.
  const stat = statSync(note, { throwIfNoEntry: false })
  return stat === undefined ? undefined : Math.round(stat.mtimeMs)
}

/** `false`: the note is not there any more. */
function writeTime(note: string, until: Instant): boolean {
  try {
    utimesSync(note, until / 1000, until / 1000)
    return true
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false
    throw error
  }
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return []
    throw error
  }
}

/** Another process may have been faster, or have made a new note meanwhile. */
async function ignoring(work: Promise<void>): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(codeOf(error) ?? '')) throw error
  }
}
