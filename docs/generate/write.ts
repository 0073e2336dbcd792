/** What `npm run docs` runs once everything is compiled: writes the pages that come from the declarations. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { referencePage } from './reference.ts'

const ROOT = join(import.meta.dirname, '../../..')

writeFileSync(join(ROOT, 'docs/api.md'), referencePage(join(ROOT, 'dist/src')))
