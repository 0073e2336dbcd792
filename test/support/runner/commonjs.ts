/**
 * A step of `npm run build`: completes dist/commonjs, which tsconfig.commonjs.json makes for what cannot take ECMAScript
 * modules by require(). Node must know that it is CommonJS, and CommonJS has no `import.meta`, which only a file's own
 * place is asked of.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

const COMMONJS = resolve(import.meta.dirname, '../../../commonjs')
const PLACES = join(COMMONJS, 'stores/places.js')

writeFileSync(join(COMMONJS, 'package.json'), '{ "type": "commonjs" }\n')
writeFileSync(PLACES, readFileSync(PLACES, 'utf8').replace('import.meta.url', 'undefined'))
