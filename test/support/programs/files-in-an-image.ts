/*
 * A directory of sessions that came with a container's image: it lies in the lower layer of an overlay file system, whose
 * directories cannot be renamed. Runs where it may mount: see `inNamespace`.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { fileStore } from '../../../src/stores/file.ts'
import type { Key } from '../../../src/units.ts'

const [directory] = process.argv.slice(2) as [string]
const key = (digit: string): Key => digit.repeat(64)
const [soon, later] = [300, 600_000]

execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', directory])
for (const name of ['image', 'upper', 'work', 'container']) mkdirSync(join(directory, name))
const image = fileStore({ directory: join(directory, 'image', '.sessions'), pruneInterval: 0 })
for (const digit of ['1', '2', '3', '4', '5']) await image.save(key(digit), `"${digit}"`, Date.now() + later, undefined)
for (const digit of ['a', 'b']) await image.save(key(digit), '"old"', Date.now() + soon, undefined)
const layers = [`lowerdir=${directory}/image`, `upperdir=${directory}/upper`, `workdir=${directory}/work`]
execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', [...layers, 'userxattr'].join(), join(directory, 'container')])

const root = join(directory, 'container', '.sessions')
const told: unknown[] = []
const open = (grace = 3_600_000): ReturnType<typeof fileStore> =>
  fileStore({ directory: root, pruneInterval: 0, grace, onError: (error) => told.push(error) })
const [store, other] = [open(), open()]

const answers: Record<string, unknown> = {}
try {
  renameSync(join(root, '55', key('5')), join(root, 'trash', 'x'))
} catch (error) {
  answers['a directory of the image is renamed'] = (error as NodeJS.ErrnoException).code
}
const loaded = (await store.load(key('1')))!
const updated = (await store.save(key('1'), '"changed"', Date.now() + later, loaded)).saved!
answers['update'] = (await other.load(key('1')))?.text
answers['touch'] = await store.touch(key('1'), Date.now() + 2 * later)
answers['delete of an older version'] = typeof (await store.delete(key('1'), loaded))
answers['delete of this version'] = await store.delete(key('1'), updated)
answers['delete'] = await store.delete(key('2'))
answers['delete of two at once'] = [await store.delete(key('3')), await other.delete(key('3'))]
answers['what was deleted'] = await Promise.all(
  ['1', '2', '3'].map(async (digit) => [
    (await other.load(key(digit))) === undefined,
    (await other.save(key(digit), '"late"', Date.now() + later, updated)).gone === true,
    await other.touch(key(digit), Date.now() + later),
    await other.delete(key(digit)),
  ]),
)
answers['create and delete beside it'] = [
  (await store.save(key('c'), '"new"', Date.now() + later, undefined)).saved?.text,
  await store.delete(key('c')),
]
while ((await store.load(key('b'))) !== undefined) await new Promise((resolve) => setTimeout(resolve, 10))
answers['create over an expired one'] = (await store.save(key('b'), '"new"', Date.now() + later, undefined)).saved?.text
answers['prune'] = [await store.prune!(), await other.prune!()]
answers['contents left by what was deleted or pruned'] = ['11', '22', '33', 'aa'].flatMap((shard) =>
  readdirSync(join(root, shard), { recursive: true, encoding: 'utf8' }).filter((name) => name.includes('/c.')),
)
answers['prune after the grace'] = await open(0).prune!()
answers['left'] = readdirSync(root)
  .filter((name) => /^..$/.test(name))
  .flatMap((shard) => readdirSync(join(root, shard)))
const keys: Key[] = []
for await (const one of store.keys!()) keys.push(one)
answers['keys'] = keys.toSorted()
answers['created anew'] = (await store.save(key('2'), '"again"', Date.now() + later, undefined)).saved?.text
answers['told'] = told.map(String)
console.log(JSON.stringify(answers))
