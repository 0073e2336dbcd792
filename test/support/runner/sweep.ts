/** The end of `npm run build`: removes from dist what was compiled from sources that are no longer there. */
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'

const DIST = resolve(import.meta.dirname, '../../..')
const ROOT = resolve(DIST, '..')
const COMPILED = /\.(?:js|d\.ts)(?:\.map)?$/

// Folder by folder: what tests put beside them may hold links, which lead anywhere.
const FOLDERS = ['bench', 'commonjs', 'docs', 'example', 'src', 'test']

const files = FOLDERS.filter((folder) => existsSync(join(DIST, folder))).flatMap((folder) =>
  readdirSync(join(DIST, folder), { recursive: true, encoding: 'utf8' }).map((file) => join(folder, file)),
)
for (const file of files) {
  // What is in dist/commonjs was compiled from src too.
  const source = file.replace(/^commonjs\b/, 'src').replace(COMPILED, '.ts')
  if (COMPILED.test(file) && !existsSync(join(ROOT, source))) rmSync(join(DIST, file))
}
