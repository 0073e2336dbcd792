import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { exportedBy, reachableFrom, withoutComments } from './support/declarations.ts'

const COMPILED = join(import.meta.dirname, '../src')
const ENTRIES = ['index.d.ts', 'conformance.d.ts'].map((file) => join(COMPILED, file))

describe('what an editor knows of the package', () => {
  it('has words for every exported name, and for every member and option', () => {
    const declared = ENTRIES.flatMap(exportedBy)
    assert.ok(declared.some(({ name }) => name === 'SessionOptions.idleTimeout'))
    assert.ok(declared.some(({ name }) => name === 'SessionMembers.regenerate'))
    assert.ok(declared.some(({ name }) => name === 'module.ExtendableContext.session'))
    assert.ok(declared.some(({ name }) => name === 'RedisStoreOptions.coherence.bound'))
    assert.deepEqual(
      declared.filter(({ doc }) => doc === '').map(({ name }) => name),
      [],
    )
  })

  it('lets nothing be anything: there is no `any` in the declarations', () => {
    const files = ENTRIES.flatMap((entry) => [...reachableFrom(entry)])
    assert.ok(files.length > 15)
    const offences = files.flatMap((file) =>
      withoutComments(readFileSync(file, 'utf8'))
        .split('\n')
        .filter((line) => /\bany\b/.test(line))
        .map((line) => `${file}: ${line.trim()}`),
    )
    assert.deepEqual(offences, [])
  })

  it('needs no package for a store that is not used', () => {
    const files = ENTRIES.flatMap((entry) => [...reachableFrom(entry)])
    const packages = files.flatMap((file) =>
      [...withoutComments(readFileSync(file, 'utf8')).matchAll(/(?:from|import\()\s*['"]([^.'"][^'"]*)['"]/g)].map(
        ([, name]) => name as string,
      ),
    )
    const others = packages.filter((name) => !name.startsWith('node:'))
    assert.deepEqual([...new Set(others)].sort(), ['keygrip', 'koa'])
  })
})
