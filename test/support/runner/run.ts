/**
 * What `npm test` runs once everything is compiled: all test files, or those whose name contains one of the arguments
 * (`npm test -- cookie stores/`). Arguments that begin with `--` go to `node --test`, such as
 * `--test-name-pattern=logout`. In a run of all, the files of some folders share a process (see `together.ts`).
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { ensureRequirements } from './requirements.ts'
import { cutShort, ENDS, withFoldersTogether } from './together.ts'

const TESTS = resolve(import.meta.dirname, '../..')

let isStopped = false

async function main(args: string[]): Promise<void> {
  const flags = args.filter((argument) => argument.startsWith('--'))
  const wanted = args.filter((argument) => !argument.startsWith('--'))
  const files = testFiles(wanted)
  if (files.length === 0) {
    throw new Error(
      wanted.length > 0 ? `No test file has ${wanted.join(' or ')} in its name.` : `There is no test file in ${TESTS}.`,
    )
  }
  await ensureRequirements(files)
  process.exitCode = wanted.length > 0 ? await runTests(flags, files) : await runAll(flags, files)
}

async function runAll(flags: string[], files: string[]): Promise<number> {
  const ends = mkdtempSync(join(tmpdir(), 'test-ends-'))
  try {
    const code = await runTests(flags, withFoldersTogether(files), { ...process.env, [ENDS]: ends })
    const untold = isStopped ? [] : cutShort(files, ends)
    if (untold.length === 0) return code
    console.error('A process that several test files share ended before they did. Now each of them has its own.')
    await runTests(flags, untold)
    return code || 1
  } finally {
    rmSync(ends, { recursive: true })
  }
}

/** Only files that are tests: given a folder, `node --test` would run the helpers too. */
function testFiles(wanted: string[]): string[] {
  return readdirSync(TESTS, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.js'))
    .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
    .toSorted()
    .map((file) => relative(process.cwd(), join(TESTS, file)))
}

function runTests(flags: string[], files: string[], env: NodeJS.ProcessEnv = process.env): Promise<number> {
  const child = spawn(
    process.execPath,
    [
      '--enable-source-maps',
      '--test',
      '--test-reporter=spec',
      '--test-concurrency=2',
      // For what hangs, however slow the machine is. Node 20 applies it to each file as a whole, not only to each test.
      '--test-timeout=600000',
      ...flags,
      ...files,
    ],
    { stdio: 'inherit', env },
  )
  // Ctrl-C reaches the child by itself; this process only has to outlive it, so that the summary is not cut off.
  process.on('SIGINT', () => (isStopped = true))
  process.on('SIGTERM', () => (isStopped = child.kill('SIGTERM')))
  return new Promise((resolve, reject) =>
    child
      .once('error', reject)
      .once('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]))),
  )
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
