import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { ENTRIES, publicDeclarations } from '../docs/generate/reference.ts'
import { codeOf, importsOf, reachableFrom } from './support/documents/declarations.ts'

const COMPILED = join(import.meta.dirname, '../src')

describe('what an editor knows of the package', () => {
  const files = [...new Set(ENTRIES.flatMap((file) => [...reachableFrom(join(COMPILED, file))]))]

  it('has words for every exported name, and for every member and option', () => {
    const described = publicDeclarations(COMPILED).flatMap(({ name, documentation, members }) => [
      { name, documentation },
      ...members.map((member) => ({ name: `${name}.${member.name}`, documentation: member.documentation })),
    ])
    const names = described.map(({ name }) => name)
    for (const known of ['SessionOptions.idleTimeout', 'SessionMembers.regenerate', 'Sessions.call', 'getSession'])
      assert.ok(names.includes(known), known)
    assert.deepEqual(
      described.filter(({ documentation }) => documentation === '').map(({ name }) => name),
      [],
    )
  })

  it('has words for ctx.session', () => {
    const text = readFileSync(join(COMPILED, 'session/types.d.ts'), 'utf8')
    assert.match(text, /interface ExtendableContext \{\s*\/\*\*[^]+?\*\/\s*get session\(\)/)
  })

  it('lets nothing be anything: there is no `any` in the declarations', () => {
    assert.ok(files.length > 15)
    const offences = files.flatMap((file) =>
      codeOf(file)
        .split('\n')
        .filter((line) => /\bany\b/.test(line))
        .map((line) => `${file}: ${line.trim()}`),
    )
    assert.deepEqual(offences, [])
  })

  it('needs no package for a store that is not used', () => {
    const packages = files.flatMap(importsOf).filter((name) => !name.startsWith('.') && !name.startsWith('node:'))
    assert.deepEqual([...new Set(packages)].sort(), ['keygrip', 'koa'])
  })
})
