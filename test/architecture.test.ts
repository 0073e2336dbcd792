import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { appendFileSync, cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { describe, it } from 'node:test'
import { temporaryDirectory } from './support/temporary-directory.ts'

const ROOT = join(import.meta.dirname, '../..')
const OXLINT = join(dirname(createRequire(import.meta.url).resolve('oxlint/package.json')), 'bin/oxlint')
const IMPORTS = 'eslint(no-restricted-imports)'

/** A file, or a package, for each thing that a room of src might import. */
const TARGETS = {
  units: 'src/units.ts',
  store: 'src/store.ts',
  'the rest of the ground': 'src/errors.ts',
  record: 'src/record/record.ts',
  layers: 'src/layers/stack.ts',
  'a part of a layer': 'src/layers/ends/due-queue.ts',
  session: 'src/session/lifecycle.ts',
  http: 'src/http/request.ts',
  'http/keyring': 'src/http/keyring.ts',
  'the store of a URL': 'src/stores/url.ts',
  'what stores share': 'src/stores/prune-timer.ts',
  'the Redis store': 'src/stores/redis.ts',
  'a part of the Redis store': 'src/stores/redis/keys.ts',
  'a store of several stores': 'src/stores/shards/sharded.ts',
  'where a key lies': 'src/stores/placement.ts',
  'the file store': 'src/stores/file.ts',
  'a part of the file store': 'src/stores/file/layout.ts',
  'the PostgreSQL store': 'src/stores/postgres.ts',
  'the core of the SQL stores': 'src/stores/sql/store.ts',
  'a part of the PostgreSQL store': 'src/stores/sql/postgres/pool.ts',
  'a part of the SQLite store': 'src/stores/sql/sqlite/handle.ts',
  options: 'src/options.ts',
  middleware: 'src/middleware.ts',
  sessions: 'src/sessions.ts',
  index: 'src/index.ts',
  'the conformance kit': 'src/tools/conformance.ts',
  'a part of the conformance kit': 'src/tools/conformance/races.ts',
  'the helpers for tests': 'src/tools/testing.ts',
  'a part of the helpers for tests': 'src/tools/testing/sign-in.ts',
  'the readers of old sessions': 'src/tools/moving.ts',
  'a reader of old sessions': 'src/tools/moving/koa-session.ts',
  'the store in memory': 'src/stores/memory.ts',
  'the command': 'src/cli/index.ts',
  'a part of the command': 'src/cli/usage.ts',
  koa: 'koa',
  keygrip: 'keygrip',
  'lru-cache': 'lru-cache',
  ioredis: 'ioredis',
  'memcache-client': 'memcache-client',
  'another package': 'express',
  tests: 'test/support/temporary-directory.ts',
} as const

type Target = keyof typeof TARGETS

const GROUND: Target[] = ['units', 'store', 'the rest of the ground']
const LAYERS: Target[] = ['layers', 'a part of a layer']
const HTTP: Target[] = ['http', 'http/keyring']
const REDIS: Target[] = ['the Redis store', 'a part of the Redis store']
const FILES: Target[] = ['the file store', 'a part of the file store']
const SQL: Target[] = [
  'the PostgreSQL store',
  'the core of the SQL stores',
  'a part of the PostgreSQL store',
  'a part of the SQLite store',
]
const SHARDS: Target[] = ['a store of several stores', 'where a key lies']
const STORES: Target[] = [
  ...REDIS,
  ...SHARDS,
  ...FILES,
  ...SQL,
  'the store in memory',
  'the store of a URL',
  'what stores share',
]
const MIDDLEWARE: Target[] = [...GROUND, 'record', ...LAYERS, 'session', ...HTTP, 'options', 'sessions']
const COMMAND: Target[] = [
  ...GROUND,
  'record',
  ...LAYERS,
  'session',
  ...STORES,
  'http/keyring',
  'the command',
  'a part of the command',
]

/** What each of these files may import, itself among it. */
const MAY: Record<string, Target[]> = {
  'src/units.ts': [],
  'src/store.ts': GROUND,
  'src/errors.ts': GROUND,
  'src/record/codec.ts': [...GROUND, 'record'],
  'src/layers/cached.ts': [...GROUND, 'record', ...LAYERS, 'lru-cache'],
  'src/layers/ends/end-signal.ts': [...GROUND, 'record', ...LAYERS, 'lru-cache'],
  'src/session/object.ts': [...GROUND, 'record', ...LAYERS, 'session'],
  'src/http/cookie.ts': [...GROUND, 'record', 'session', ...HTTP, 'keygrip', 'lru-cache'],
  'src/stores/memory.ts': [...GROUND, 'what stores share'],
  'src/stores/redis.ts': [...GROUND, 'what stores share', 'a part of the Redis store'],
  'src/stores/redis-shards.ts': [...GROUND, 'what stores share', ...REDIS, 'a store of several stores'],
  'src/stores/shards/sharded.ts': [...GROUND, 'a store of several stores', 'where a key lies'],
  'src/stores/redis/link.ts': [...GROUND, 'what stores share', 'a part of the Redis store'],
  'src/stores/file/sweep.ts': [...GROUND, 'what stores share', 'a part of the file store'],
  'src/stores/memcached/driver.ts': [...GROUND, 'what stores share'],
  'src/stores/moving.ts': [...GROUND, 'what stores share'],
  'src/stores/moving/protocol.ts': [...GROUND, 'what stores share'],
  'src/stores/postgres.ts': [
    ...GROUND,
    'what stores share',
    'the core of the SQL stores',
    'a part of the PostgreSQL store',
  ],
  'src/stores/sql/records.ts': [...GROUND, 'what stores share', 'the core of the SQL stores'],
  'src/stores/sql/postgres/database.ts': [
    ...GROUND,
    'what stores share',
    'the core of the SQL stores',
    'a part of the PostgreSQL store',
  ],
  'src/stores/url.ts': [...GROUND, ...STORES],
  'src/options.ts': [...GROUND, 'record', ...LAYERS, ...HTTP, 'the store of a URL'],
  'src/middleware.ts': MIDDLEWARE,
  'src/sessions.ts': MIDDLEWARE,
  'src/index.ts': [...MIDDLEWARE, ...STORES, 'middleware', 'index'],
  'src/tools/conformance.ts': ['units', 'store', 'a part of the conformance kit'],
  'src/tools/conformance/races.ts': ['units', 'store', 'a part of the conformance kit'],
  'src/tools/testing.ts': ['a part of the helpers for tests'],
  'src/tools/testing/sign-in.ts': [
    ...GROUND,
    'record',
    ...LAYERS,
    'session',
    ...HTTP,
    'sessions',
    'the store in memory',
    'a part of the helpers for tests',
  ],
  'src/tools/moving.ts': ['session', ...HTTP, 'a reader of old sessions'],
  'src/tools/moving/koa-session.ts': [...GROUND, 'record', 'session', ...HTTP, 'keygrip', 'a reader of old sessions'],
  'src/cli/index.ts': COMMAND,
  'src/cli/store.ts': COMMAND,
  'src/cli/commands/show.ts': COMMAND,
}

/** Packages that are there for their types alone. */
const TYPES: Record<string, string> = {
  'src/http/koa.ts': 'koa',
  'src/middleware.ts': 'koa',
  'src/sessions.ts': 'koa',
  'src/options.ts': 'koa',
  'src/stores/redis/link.ts': 'ioredis',
  'src/stores/memcached/driver.ts': 'memcache-client',
}

describe('the linter', () => {
  it('finds nothing wrong with what the rooms of src import', () => {
    assert.deepEqual(lint(() => {}).map(describeProblem), [])
  })

  it('lets every room import what it may, and nothing else', () => {
    const targets = Object.keys(TARGETS) as Target[]
    const problems = lint((root) => {
      for (const file of Object.keys(MAY)) {
        const lines = targets.map((target) => `import '${specifier(file, TARGETS[target])}'\n`)
        replaceWith(root, file, lines.join(''))
      }
    })
    for (const [file, may] of Object.entries(MAY)) {
      const refused = new Set(problems.filter((problem) => problem.file === file).map(({ line }) => targets[line - 1]))
      assert.deepEqual(
        targets.filter((target) => !refused.has(target)),
        targets.filter((target) => may.includes(target)),
        file,
      )
    }
  })

  it('lets a room have the types of a package without the package', () => {
    const problems = lint((root) => {
      for (const [file, name] of Object.entries(TYPES)) {
        replaceWith(root, file, `import type { A } from '${name}'\nimport { b } from '${name}'\nexport { A, b }\n`)
      }
    })
    assert.deepEqual(
      problems.map(({ file, line }) => `${file}:${line}`).toSorted(),
      Object.keys(TYPES)
        .map((file) => `${file}:2`)
        .toSorted(),
    )
  })

  it('watches every file of src', () => {
    let files: string[] = []
    const problems = lint((root) => {
      files = filesOf(join(root, 'src')).map((file) => join('src', file))
      for (const file of files) appendFileSync(join(root, file), "\nimport 'no-package-of-ours'\n")
    })
    assert.deepEqual([...new Set(problems.map(({ file }) => file))].toSorted(), files.toSorted())
  })

  it('lets the example import the package, and nothing that it is made of; nor what watches the example', () => {
    const imports = ['../../src/index.ts', 'koa-server-session', '../under-the-hood/index.ts', 'koa-session']
    const problems = lint((root) => {
      replaceWith(root, 'example/routes/home.ts', imports.map((name) => `import '${name}'\n`).join(''))
      replaceWith(root, 'example/under-the-hood/views.ts', "import '../../src/index.ts'\n")
    })
    assert.deepEqual(problems.map(({ file, line }) => `${file}:${line}`).toSorted(), [
      'example/routes/home.ts:1',
      'example/routes/home.ts:3',
      'example/routes/home.ts:4',
      'example/under-the-hood/views.ts:1',
    ])
  })

  it('accepts no file of more than 250 lines of code, and no comment that puts work off', () => {
    const problems = lint(
      (root) => {
        const long = 'void 0\n'.repeat(251)
        replaceWith(root, 'src/units.ts', long)
        // Spelled so that the linter does not find it here.
        replaceWith(root, 'src/store.ts', `// ${'TO'}DO: later\n`)
      },
      ['eslint(max-lines)', 'eslint(no-warning-comments)'],
    )
    assert.deepEqual(problems.map(describeProblem).toSorted(), [
      'src/store.ts:1 eslint(no-warning-comments)',
      'src/units.ts:251 eslint(max-lines)',
    ])
  })
})

interface Problem {
  readonly file: string
  readonly line: number
  readonly rule: string
}

/** What these rules find in a copy of the sources, after it was changed. */
function lint(change: (root: string) => void, rules: readonly string[] = [IMPORTS]): Problem[] {
  const root = temporaryDirectory('architecture')
  for (const folder of ['src', 'example']) cpSync(join(ROOT, folder), join(root, folder), { recursive: true })
  // Rules that need the compiler find no packages in the copy.
  const configuration = readFileSync(join(ROOT, '.oxlintrc.json'), 'utf8').replace(
    '"typeAware": true',
    '"typeAware": false',
  )
  writeFileSync(join(root, '.oxlintrc.json'), configuration)
  change(root)
  const { stdout, stderr } = spawnSync(process.execPath, [OXLINT, '--format=json'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  })
  assert.equal(stderr, '')
  const { diagnostics } = JSON.parse(stdout) as {
    diagnostics: { code: string; filename: string; labels: { span: { line: number } }[] }[]
  }
  return diagnostics
    .map(({ code, filename, labels }) => ({ file: filename, line: labels[0]?.span.line ?? 0, rule: code }))
    .filter(({ rule }) => rules.includes(rule))
}

function describeProblem({ file, line, rule }: Problem): string {
  return `${file}:${line} ${rule}`
}

function replaceWith(root: string, file: string, text: string): void {
  // A file that has been moved must be looked for here, and not made anew.
  readFileSync(join(root, file))
  writeFileSync(join(root, file), text)
}

/** How the file would import the target. */
function specifier(file: string, target: string): string {
  if (!target.endsWith('.ts')) return target
  const path = relative(dirname(file), target)
  return path.startsWith('.') ? path : `./${path}`
}

function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
}
