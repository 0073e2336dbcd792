/** The end of `npm run build`: removes from dist what was compiled from sources that are no longer there. */
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'

const DIST = resolve(import.meta.dirname, '../../..')
const ROOT = resolve(DIST, '..')
const COMPILED = /\.(?:js|d\.ts)(?:\.map)?$/

for (const file of readdirSync(DIST, { recursive: true, encoding: 'utf8' })) {
  if (COMPILED.test(file) && !existsSync(join(ROOT, file.replace(COMPILED, '.ts')))) rmSync(join(DIST, file))
}
