import { statfsSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import type { Checks } from '../../../checks.ts'
import type { Milliseconds } from '../../../units.ts'
import { PLACES } from '../../places.ts'
import { loadPackage } from '../driver.ts'
import { failed } from '../faults.ts'
import type { SqliteHandle } from './handle.ts'

type OpenHandle = (path: string) => SqliteHandle

/** How files are opened: by Node's own SQLite if it has one, otherwise by better-sqlite3. */
export function sqliteDriver(checks: Checks): OpenHandle {
  const builtin = nodeSqlite()
  if (builtin) return (path) => new builtin.DatabaseSync(path)
  const cure = 'needs Node 22.13 or newer, or the package better-sqlite3; npm i better-sqlite3'
  const wanted = { module: 'better-sqlite3', least: [12, 0], cure } as const
  const Database = loadPackage(checks, wanted) as new (path: string) => SqliteHandle
  return (path) => new Database(path)
}

function nodeSqlite(): { DatabaseSync: new (path: string) => SqliteHandle } | undefined {
  try {
    return createRequire(PLACES[0] as string)('node:sqlite') as ReturnType<typeof nodeSqlite>
  } catch {
    return undefined // this Node has none
  }
}

/** SQLite itself waits so long for a lock while the file is opened, and never later: it would hold up the process. */
const WAIT_AT_OPENING: Milliseconds = 2000

/**
 * Opens the file, and makes it if need be. Write-ahead logging lets readers and a writer work at once; with `durable`
 * each write is on the disk before it is answered.
 */
export function openFile(open: OpenHandle, path: string, durable: boolean): SqliteHandle {
  refuseNetwork(path)
  const handle = open(path)
  try {
    handle.exec(`pragma busy_timeout = ${WAIT_AT_OPENING}`)
    handle.exec('pragma journal_mode = wal')
    handle.exec(`pragma synchronous = ${durable ? 'full' : 'normal'}`)
    handle.exec('pragma busy_timeout = 0')
  } catch (error) {
    handle.close()
    throw error
  }
  return handle
}

/** The file systems on which processes of several machines would share the file: https://man7.org/linux/man-pages/man2/statfs.2.html */
const NETWORK: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB2'],
  [0x5346414f, 'AFS'],
  [0x00c36400, 'Ceph'],
  [0x0bd00bd0, 'Lustre'],
])

/** The name of the network file system of this type; `undefined` if it is none. */
export function networkOf(type: number): string | undefined {
  return NETWORK.get(type)
}

function refuseNetwork(path: string): void {
  let type: number
  try {
    type = statfsSync(dirname(path)).type
  } catch {
    return // opening says what is wrong with the directory
  }
  const network = networkOf(type)
  if (network === undefined) return
  throw failed(
    `the file lies on ${network}, a network file system, whose locks SQLite cannot rely on; use a local disk`,
  )
}

/** The identity of a file that is not there. */
export const NO_FILE = 'none'

/** Which file lies there: changes when another one takes its place. */
export function identityOf(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false })
  return stat === undefined ? NO_FILE : `${stat.dev}:${stat.ino}`
}
