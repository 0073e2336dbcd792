/**
 * What `npm test` runs once everything is compiled: all test files, or those whose name contains one of the arguments
 * (`npm test -- cookie stores/`). Arguments that begin with `--` go to `node --test`, such as
 * `--test-name-pattern=logout`.
 */
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { constants } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { ensureRequirements } from './requirements.ts'

const TESTS = resolve(import.meta.dirname, '../..')

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
  runTests(flags, files)
}

/** Only files that are tests: given a folder, `node --test` would run the helpers too. */
function testFiles(wanted: string[]): string[] {
  return readdirSync(TESTS, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.js'))
    .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
    .toSorted()
    .map((file) => relative(process.cwd(), join(TESTS, file)))
}

function runTests(flags: string[], files: string[]): void {
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
    { stdio: 'inherit' },
  )
  // Ctrl-C reaches the child by itself; this process only has to outlive it, so that the summary is not cut off.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? 128 + (signal === null ? 0 : constants.signals[signal])
  })
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
