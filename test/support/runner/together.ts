/**
 * A folder whose tests share one process in a run of everything, because to begin a process takes longer than most of
 * them. Such a folder holds a file `together.ts`, which calls `together()`. Each of its tests leaves the process as it
 * found it.
 */
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { after, it } from 'node:test'
import { pathToFileURL } from 'node:url'

const FILE = 'together.js'
/** The variable of the environment with the directory in which each folder says that its tests have come to their end. */
export const ENDS = 'TEST_FOLDERS_ENDED'

/** The files for `node --test`: those of a folder whose tests share a process are one. */
export function withFoldersTogether(testFiles: readonly string[]): string[] {
  const files = testFiles.map((file) => {
    const folder = join(dirname(file), FILE)
    return existsSync(folder) ? folder : file
  })
  return [...new Set(files)]
}

/** The test files of the folders whose process ended too early to tell of all of them, according to what is in `ends`. */
export function cutShort(testFiles: readonly string[], ends: string): string[] {
  return testFiles.filter(
    (file) => existsSync(join(dirname(file), FILE)) && !existsSync(join(ends, endOf(dirname(file)))),
  )
}

/**
 * Runs the test files of a folder. One that cannot be loaded is a test that fails, and all others run. No test begins
 * before all files are loaded, because a test may have stopped the clock.
 */
export function together(folder: string): void {
  const files = readdirSync(folder).filter((file) => file.endsWith('.test.js'))
  const loading = Promise.allSettled(files.map((file) => import(pathToFileURL(join(folder, file)).href)))
  it(`loads the ${files.length} files of test/${basename(folder)}`, async () => {
    const reasons = (await loading).flatMap((file) => (file.status === 'rejected' ? [file.reason as unknown] : []))
    if (reasons.length > 0) throw reasons.length === 1 ? reasons[0] : new AggregateError(reasons)
  })
  const ends = process.env[ENDS]
  if (ends !== undefined) after(() => writeFileSync(join(ends, endOf(folder)), ''))
}

function endOf(folder: string): string {
  return basename(folder)
}
