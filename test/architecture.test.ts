import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { violations } from './support/architecture.ts'

const ROOT = resolve(import.meta.dirname, '../..')

describe('the house of src', () => {
  it('keeps its floors, its packages, its file size and its tests', () => {
    assert.deepEqual(violations(join(ROOT, 'src'), join(ROOT, 'test')), [])
  })
})

describe('the check of the house', () => {
  it('has nothing to say against a sound house', (t) => {
    assert.deepEqual(
      check(t, {
        'src/units.ts': 'export type Key = string\n',
        'src/store.ts': "import type { Key } from './units.ts'\nexport type Store = Key\n",
        'src/record.ts': "import { stringify } from 'devalue'\nimport { hash } from 'node:crypto'\n",
        'src/stores/redis.ts': [
          "import type { Redis } from 'ioredis'",
          "import { SCRIPTS } from './redis/scripts.ts'",
          "type Driver = typeof import('ioredis')",
          "const load = async () => await import('ioredis')",
        ].join('\n'),
        'src/stores/redis/scripts.ts': "import type { Store } from '../../store.ts'\n",
        'src/stores/url.ts': "import { redis } from './redis.ts'\nimport type { Key } from '../units.ts'\n",
        'test/record.test.ts': '',
        'test/stores/redis.test.ts': '',
        'test/stores/url.test.ts': '',
      }),
      [],
    )
  })

  const store = { 'src/store.ts': '', 'src/index.ts': '' }
  const offences: [about: string, files: Record<string, string>, violation: string][] = [
    [
      'an import from a floor above',
      { ...store, 'src/units.ts': "import type { Store } from './store.ts'" },
      'units imports ./store.ts from floor 2, and stands on floor 0 itself',
    ],
    [
      'a re-export from a floor above',
      { ...store, 'src/units.ts': "export {\n  type Store,\n} from './store.ts'" },
      'units imports ./store.ts from floor 2, and stands on floor 0 itself',
    ],
    [
      'an import() from a floor above',
      { ...store, 'src/units.ts': "const later = import('./index.ts')" },
      'units imports ./index.ts from floor 7, and stands on floor 0 itself',
    ],
    [
      'an import from the same floor',
      { 'src/types.ts': '', 'src/id.ts': "import type { A } from './types.ts'", 'test/id.test.ts': '' },
      'id imports ./types.ts from floor 1, and stands on floor 1 itself',
    ],
    [
      'one store that imports another',
      {
        'src/stores/memory.ts': '',
        'src/stores/file.ts': "import { memory } from './memory.ts'",
        'test/memory.test.ts': '',
        'test/file.test.ts': '',
      },
      'stores/file imports ./memory.ts from floor 3, and stands on floor 3 itself',
    ],
    [
      'an import from outside src',
      { 'src/index.ts': "import manifest from '../package.json' with { type: 'json' }" },
      'index imports ../package.json, which is no file of src',
    ],
    [
      'an import without its ending',
      { ...store, 'src/index.ts': "export * from './store'" },
      'index imports ./store, which is no file of src',
    ],
    [
      'a package outside the list',
      { 'src/index.ts': "import 'express-session'" },
      'index imports express-session, which is not among the packages that src may use',
    ],
    [
      'a runtime import of koa',
      { 'src/index.ts': "import Koa, { type Context } from 'koa'" },
      'index imports koa, of which only types may be imported',
    ],
    [
      'a driver that is loaded before its store is used',
      { 'src/stores/redis.ts': "import { Redis } from 'ioredis'", 'test/redis.test.ts': '' },
      'stores/redis imports ioredis, of which only types may be imported, and the rest by import() in stores/redis',
    ],
    [
      'a driver that is loaded by a file that is not its store',
      { 'src/index.ts': "const { Redis } = await import('ioredis')" },
      'index imports ioredis, of which only types may be imported, and the rest by import() in stores/redis',
    ],
    [
      'an import that is known at run time only',
      { 'src/index.ts': 'export const load = (name: string) => import(name)' },
      'index imports something that is known at run time only',
    ],
    [
      'a file without a floor',
      { 'src/helpers.ts': '', 'test/helpers.test.ts': '' },
      'helpers has no floor: place it in test/support/architecture.ts',
    ],
    [
      'a file of more than 250 lines of code',
      { 'src/index.ts': 'export {}\n'.repeat(251) },
      'index has 251 lines of code, more than 250',
    ],
    ['a file without a test', { 'src/cookie.ts': '', 'test/record.test.ts': '' }, 'cookie has no test of its name'],
    ['work left for later', { 'src/index.ts': '\n// TODO: think\n' }, 'index:2 says TODO'],
  ]
  for (const [about, files, violation] of offences) {
    it(`finds ${about}`, (t) => {
      assert.deepEqual(check(t, files), [violation])
    })
  }

  it('counts neither blank lines nor comments, and knows a comment from a text that looks like one', (t) => {
    const code = [
      "const url = 'http://localhost' // a comment",
      'const quote = /[/\'"`]*/',
      'const half = quote.length / 2 / `${url}/* ${`//${half}`} `.length',
      'const open = `',
      '// code',
      '`',
    ]
    const comments = ['/**', " * import './nowhere.ts'", ' */', '', '// plain', '  /* short */']
    const lines = [...comments, ...code, ...comments, ...Array<string>(244).fill('f()'), ...comments]
    assert.deepEqual(check(t, { 'src/index.ts': lines.join('\n') }), [])
    assert.deepEqual(check(t, { 'src/index.ts': [...lines, 'f()'].join('\n') }), [
      'index has 251 lines of code, more than 250',
    ])
  })
})

/** What the check says of these files, laid out in a folder of their own. */
function check(t: TestContext, files: Record<string, string>): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'architecture-'))
  t.after(() => rmSync(folder, { recursive: true }))
  mkdirSync(join(folder, 'test'))
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(join(folder, dirname(file)), { recursive: true })
    writeFileSync(join(folder, file), text)
  }
  return violations(join(folder, 'src'), join(folder, 'test'))
}
