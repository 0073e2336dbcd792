import { accessSync, constants } from 'node:fs'
import { delimiter, resolve } from 'node:path'

/**
 * A program from outside of npm that a helper starts. The helper's file exports it as `requires`: there the test runner
 * finds it, for every test file that imports the helper.
 */
export interface Requirement {
  /** Names, or absolute paths. Any one of these programs will do. */
  readonly commands: readonly string[]
  /** The Debian package that brings them. */
  readonly debianPackage: string
}

/** The path of the program. Throws an Error that says what to install, for tests that were started without the runner. */
export function commandOf(requirement: Requirement): string {
  const path = findCommand(requirement)
  if (path !== undefined) return path
  const { commands, debianPackage } = requirement
  throw new Error(
    `This test starts ${commands[0]}, which is not installed. On Debian: apt-get install ${debianPackage}`,
  )
}

/** The path of the first of its programs that is installed. */
export function findCommand({ commands }: Pick<Requirement, 'commands'>): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  return commands.flatMap((command) => folders.map((folder) => resolve(folder, command))).find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
