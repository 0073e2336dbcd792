import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'

const ROOT = join(import.meta.dirname, '../..')
const TSC = join(createRequire(import.meta.url).resolve('typescript/package.json'), '../bin/tsc')

// Inside the package, so that what is compiled finds `koa-server-session` as an application would.
const directory = join(ROOT, 'dist/types')
mkdirSync(directory, { recursive: true })
after(() => rmSync(directory, { recursive: true, force: true }))

const NODENEXT = { module: 'nodenext', moduleResolution: 'nodenext' }
const BUNDLER = { module: 'esnext', moduleResolution: 'bundler' }
const KOA_2 = { paths: { koa: [join(ROOT, 'node_modules/types-koa2/index.d.ts')] } }
const STRICTEST = { strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true }
const LAX = { strict: false, exactOptionalPropertyTypes: false, noUncheckedIndexedAccess: false }

const APPLICATIONS: Record<string, object> = {
  'on Koa 3, as strict as can be': { ...NODENEXT, ...STRICTEST },
  'on Koa 3, strict, for a bundler': { ...BUNDLER, strict: true, exactOptionalPropertyTypes: false },
  'on Koa 3, without strict': { ...NODENEXT, ...LAX },
  'on Koa 2, as strict as can be': { ...NODENEXT, ...STRICTEST, ...KOA_2 },
  'on Koa 2, without strict, for a bundler': { ...BUNDLER, ...LAX, ...KOA_2 },
}

describe('an application that describes its data', () => {
  for (const [index, [kind, options]] of Object.entries(APPLICATIONS).entries()) {
    // The files hold a line for each mistake, marked as one: a mistake that goes unnoticed fails the compilation too.
    it(`is told by the compiler what it may read and write, and what not: ${kind}`, () => {
      const project = join(directory, `${index}.json`)
      writeFileSync(
        project,
        JSON.stringify({
          compilerOptions: {
            target: 'es2023',
            lib: ['es2024', 'dom', 'esnext.disposable'],
            types: ['node'],
            esModuleInterop: true,
            noEmit: true,
            // Other packages' declarations are theirs; ours are compiled without it in package.test.ts.
            skipLibCheck: true,
            ...options,
          },
          include: [join(ROOT, 'test/types')],
        }),
      )
      const { status, stdout } = spawnSync(process.execPath, [TSC, '-p', project], { encoding: 'utf8' })
      assert.equal(status, 0, stdout)
    })
  }
})
