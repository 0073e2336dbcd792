/*
 * What file stores say on a file system that has become read-only. Runs where it may mount: see `inNamespace`.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileStore } from '../../../src/stores/file.ts'

const [directory] = process.argv.slice(2) as [string]
const [live, expired, other] = ['3f', '4a', '5b'].map((shard) => shard.padEnd(64, '0')) as [string, string, string]

execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', directory])
mkdirSync(join(directory, 'empty'))
const inUse = fileStore({ directory: join(directory, 'used'), pruneInterval: 0, onError: told })
const found = (await inUse.save(live, '{}', Date.now() + 600_000, undefined)).saved!
await inUse.save(expired, '{}', Date.now() - 1, undefined)
execFileSync('mount', ['-o', 'remount,ro', directory])

const codes: Record<string, string> = {}
let trouble = ''
function told(error: unknown): void {
  trouble = String(((error as Error).cause as NodeJS.ErrnoException).code)
}
async function outcome(name: string, step: () => unknown): Promise<void> {
  try {
    codes[name] = (await step()) === undefined ? 'nothing' : 'found'
  } catch (error) {
    codes[name] = String((error as NodeJS.ErrnoException).code)
  }
}
const open = (name: string): ReturnType<typeof fileStore> =>
  fileStore({ directory: join(directory, name), pruneInterval: 0 })
const create = (name: string): unknown => open(name).save(other, '{}', Date.now() + 600_000, undefined)

await outcome('save, no root', () => create('none'))
await outcome('save, no directory above the root', () => create('none/at/all'))
await outcome('save, an empty root', () => create('empty'))
await outcome('save, a root of sessions', () => create('used'))
await outcome('update of a session that is there', () => inUse.save(live, '{"a":1}', Date.now() + 600_000, found))
await outcome('delete of a session that is there', () => inUse.delete(live))
await outcome('load of a session that is there', () => inUse.load(live))
await outcome('load, no root', () => open('none').load(live))
codes['prune'] = `${1 - (await inUse.prune!())} expired session left: ${trouble}`
console.log(JSON.stringify({ codes }))
