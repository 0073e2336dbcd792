import { existsSync, lstatSync, readdirSync, statSync, type Stats } from 'node:fs'
import { dirname, join } from 'node:path'
import { SessionError } from '../../errors.ts'
import { codeOf, makeDirectory, makePath, syncDirectory, writeFile } from './disk.ts'
import { tmpOf, trashOf } from './layout.ts'

/**
 * Whether the root is there. Throws `ERR_SESSION_OPTION` if it cannot be trusted: whoever may write there could put
 * sessions into it, and choose by symbolic links what is removed.
 */
export function inspectRoot(root: string): boolean {
  const stat = statSync(root, { throwIfNoEntry: false })
  if (stat === undefined) return false
  // The root itself may be a link: the one who wrote the option has chosen where it leads.
  distrust(root, stat)
  for (const inner of [tmpOf(root), trashOf(root)]) {
    const innerStat = lstatSync(inner, { throwIfNoEntry: false })
    if (innerStat !== undefined) distrust(inner, innerStat)
  }
  return true
}

/** Makes the root and what is always in it. */
export function makeRoot(root: string, durable: boolean): void {
  const isNew = makePath(root) || readdirSync(root).length === 0
  inspectRoot(root)
  makeDirectory(tmpOf(root))
  makeDirectory(trashOf(root))
  // A directory that holds other things too is not this store's to hide from a repository.
  if (isNew) writeOnce(join(root, '.gitignore'), '*\n')
  if (durable) {
    syncDirectory(root)
    syncDirectory(dirname(root))
  }
}

/** Whether a store was made here: whatever else a directory may hold, it does not hold these two by chance. */
export function isRoot(directory: string): boolean {
  return existsSync(tmpOf(directory)) && existsSync(trashOf(directory))
}

/**
 * What the file system said, with the directory in which it happened. Node's own error shows the whole path, and the path
 * of a session ends with its key.
 */
export function located(error: unknown, root: string): unknown {
  const { code, errno, syscall, path, message } = error as NodeJS.ErrnoException
  if (!(error instanceof Error) || code === undefined || syscall === undefined) return error
  const [what] = message.split(',')
  const [, part] = path?.startsWith(`${root}/`) ? path.slice(root.length).split('/') : []
  const where = part === undefined ? root : `${root}/${part}`
  return Object.assign(new Error(`${what}, ${syscall} in the directory of the sessions ${where}`), {
    code,
    errno,
    syscall,
  })
}

function distrust(directory: string, stat: Stats): void {
  if (!stat.isDirectory())
    throw wrong(directory, 'is no directory. Name another one, which the store then makes itself')
  const user = process.geteuid?.()
  // Where there are no users, there are no modes either.
  if (user === undefined) return
  if (stat.uid !== user) {
    throw wrong(
      directory,
      `belongs to the user ${stat.uid}, and this process runs as the user ${user}. Run as that user, or name another ` +
        'directory, which the store then makes itself',
    )
  }
  if ((stat.mode & 0o002) !== 0) {
    throw wrong(
      directory,
      `may be written by every user of this machine (mode ${(stat.mode & 0o7777).toString(8)}). chmod o-w it, or name a ` +
        'directory inside of it, which the store then makes itself',
    )
  }
}

function wrong(directory: string, sentence: string): SessionError {
  return new SessionError('ERR_SESSION_OPTION', `fileStore: ${directory} ${sentence}.`)
}

function writeOnce(path: string, text: string): void {
  try {
    writeFile(path, text, false)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  }
}
