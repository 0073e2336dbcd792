import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { before, describe, it } from 'node:test'
import { VERSION } from '../src/session/copies.ts'
import { readPage } from './support/documents/pages.ts'
import { temporaryDirectory } from './support/temporary-directory.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const TSC = join(createRequire(import.meta.url).resolve('typescript/package.json'), '../bin/tsc')

/** The files of src that users import; every other one but the command is private. */
const ENTRIES = {
  index: '.',
  'tools/conformance': './conformance',
  'tools/testing': './testing',
  'tools/moving': './moving',
}

interface Manifest {
  name: string
  version: string
  main: string
  types: string
  homepage: string
  bugs: string
  repository: { url: string }
  engines: { node: string }
  exports: Record<string, string | Record<string, Record<'types' | 'default', string>>>
  bin?: Record<string, string>
  dependencies?: Record<string, string>
  peerDependencies?: Record<string, string>
}

const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest

describe('the package that npm publishes', () => {
  const folder = temporaryDirectory('package')
  const project = join(folder, 'project')
  let packed: string[] = []
  let tarballPath = ''

  before(() => {
    // Without its scripts, which would build anew under the feet of the tests that run beside this one.
    const answer = npm('pack', '--json', '--ignore-scripts', '--pack-destination', folder)
    const [tarball] = JSON.parse(answer) as { filename: string; files: { path: string }[] }[]
    assert.ok(tarball)
    tarballPath = join(folder, tarball.filename)
    packed = tarball.files.map((file) => file.path)
    const installed = join(project, 'node_modules', manifest.name)
    mkdirSync(installed, { recursive: true })
    execFileSync('tar', ['-xzf', tarballPath, '-C', installed, '--strip-components=1'])
    for (const dependency of Object.keys({ ...manifest.peerDependencies, ...manifest.dependencies })) {
      const target = join(project, 'node_modules', dependency)
      mkdirSync(dirname(target), { recursive: true })
      symlinkSync(join(ROOT, 'node_modules', dependency), target)
    }
  })

  it('can be imported, under every name that it exports', () => {
    for (const [specifier, names] of Object.entries(imported())) {
      assert.notDeepEqual(names, [], `${specifier} exports nothing`)
    }
  })

  it('can be required from CommonJS, with the same names and without a warning', () => {
    // Where a default export exists, Node marks what require() gives as a translated module.
    const required = specifiers().map(
      (name) => `'${name}': Object.keys(require('${name}')).filter((name) => name !== '__esModule').sort()`,
    )
    assert.deepEqual(run('commonjs', `console.log(JSON.stringify({ ${required.join()} }))`), JSON.stringify(imported()))
  })

  it('has declarations that compile by themselves, for who has no driver of a store', () => {
    // Strictly, with nobody's declarations excused, and in sight of no package but these.
    const application = join(folder, 'typescript')
    mkdirSync(join(application, 'node_modules'), { recursive: true })
    cpSync(join(project, 'node_modules', manifest.name), join(application, 'node_modules', manifest.name), {
      recursive: true,
    })
    cpSync(join(ROOT, 'node_modules/@types'), join(application, 'node_modules/@types'), { recursive: true })
    cpSync(join(ROOT, 'node_modules/undici-types'), join(application, 'node_modules/undici-types'), { recursive: true })
    const names = specifiers().map(
      (specifier, index) => `import * as all${index} from '${specifier}'\nvoid all${index}`,
    )
    const program = `${names.join('\n')}
import Koa from 'koa'
import session, { getSession, type Store } from '${manifest.name}'
declare module '${manifest.name}' {
  interface SessionData { userId?: string }
}
declare const store: Store
new Koa().use(session({ store })).use((ctx) => {
  const id: string | undefined = ctx.session.userId ?? getSession().userId
  // @ts-expect-error: it is no number
  ctx.session.userId = 1
  ctx.body = id
})
`
    // A file of ECMAScript modules, and one that is compiled to require().
    for (const [file, module, moduleResolution] of [
      ['app.mts', 'nodenext', 'nodenext'],
      ['app.cts', 'nodenext', 'nodenext'],
      ['app.cts', 'node16', 'node16'],
      ['app.mts', 'esnext', 'bundler'],
    ] as const) {
      writeFileSync(join(application, file), program)
      const compilerOptions = {
        target: 'es2023',
        module,
        moduleResolution,
        types: ['node'],
        noEmit: true,
        strict: true,
        exactOptionalPropertyTypes: true,
        skipLibCheck: false,
        // But TypeScript's own.
        skipDefaultLibCheck: true,
      }
      writeFileSync(join(application, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: [file] }))
      const { status, stdout } = spawnSync(process.execPath, [TSC, '--checkers', '1', '-p', application], {
        encoding: 'utf8',
      })
      assert.equal(status, 0, stdout)
    }
  })

  it('brings the command, once npm has installed it', () => {
    const application = join(folder, 'application')
    mkdirSync(application)
    const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { version: string; integrity: string }>
    }
    const dependencies = { [manifest.name]: `file:${tarballPath}` }
    // With the versions that are installed here, so that npm has them at hand and asks nobody for newer ones.
    const known = ['lru-cache', 'keygrip', 'tsscmp'].map((name) => {
      const entry = lock.packages[`node_modules/${name}`]
      assert.ok(entry)
      const resolved = `https://registry.npmjs.org/${name}/-/${name}-${entry.version}.tgz`
      return [`node_modules/${name}`, { ...entry, dev: undefined, resolved }] as const
    })
    const packages = {
      '': { dependencies },
      [`node_modules/${manifest.name}`]: {
        version: manifest.version,
        resolved: `file:${tarballPath}`,
        dependencies: manifest.dependencies,
        bin: manifest.bin,
      },
      ...Object.fromEntries(known),
    }
    writeFileSync(join(application, 'package.json'), JSON.stringify({ private: true, dependencies }))
    writeFileSync(
      join(application, 'package-lock.json'),
      JSON.stringify({ lockfileVersion: 3, requires: true, packages }),
    )
    const quiet = ['--prefer-offline', '--legacy-peer-deps', '--no-audit', '--no-fund']
    execFileSync('npm', ['ci', ...quiet], { cwd: application, stdio: ['ignore', 'ignore', 'inherit'] })
    const print = (program: string, ...args: string[]): string =>
      execFileSync(program, args, { cwd: application, encoding: 'utf8' })
    assert.match(print('npx', '--no', '--', manifest.name, 'secret'), /^[\w-]{43}\n$/)
    assert.equal(print(`./node_modules/.bin/${manifest.name}`, '--version'), `${manifest.version}\n`)
  })

  it('can be installed beside other releases of the drivers, which are there for something else', () => {
    // Each is no more than its name and release, so npm has nobody to ask.
    const beside: Record<string, string> = {
      ioredis: '5.6.1',
      'better-sqlite3': '9.0.0',
      pg: '7.18.2',
      mysql2: '2.3.3',
    }
    for (const name of ['koa', ...Object.keys(manifest.dependencies ?? {})]) {
      const { version } = JSON.parse(read(`node_modules/${name}/package.json`)) as Manifest
      beside[name] = version
    }
    const application = join(folder, 'beside')
    const dependencies: Record<string, string> = { [manifest.name]: `file:${tarballPath}` }
    for (const [name, version] of Object.entries(beside)) {
      const directory = join(application, 'packages', name)
      mkdirSync(directory, { recursive: true })
      writeFileSync(join(directory, 'package.json'), JSON.stringify({ name, version }))
      dependencies[name] = `file:packages/${name}`
    }
    writeFileSync(join(application, 'package.json'), JSON.stringify({ private: true, dependencies }))
    const { status, stderr } = spawnSync(
      'npm',
      ['install', '--dry-run', '--install-links', '--offline', '--no-audit', '--no-fund'],
      {
        cwd: application,
        encoding: 'utf8',
      },
    )
    assert.equal(status, 0, stderr)
  })

  it('keeps its other files to itself', () => {
    assert.match(
      run('module', `console.log(await import('${manifest.name}/dist/src/id.js').catch((e) => e.code))`),
      /^ERR_PACKAGE_PATH_NOT_EXPORTED$/,
    )
  })

  it('contains every file that package.json points to', () => {
    const targets = [
      manifest.main,
      manifest.types,
      ...Object.values(manifest.bin ?? {}),
      ...Object.values(manifest.exports).flatMap((target) =>
        typeof target === 'string' ? [target] : Object.values(target).flatMap((form) => Object.values(form)),
      ),
    ].map((target) => target.replace(/^\.\//, ''))
    assert.deepEqual(
      targets.filter((target) => !packed.includes(target)),
      [],
    )
  })

  function read(path: string): string {
    return readFileSync(join(ROOT, path), 'utf8')
  }

  it('knows its own version', () => {
    assert.equal(VERSION, manifest.version)
  })

  it('says in one way where its repository is', () => {
    const place = /^git\+(https:\/\/github\.com\/[\w-]+\/koa-server-session)\.git$/.exec(manifest.repository.url)?.[1]
    assert.ok(place)
    assert.equal(manifest.homepage, `${place}#readme`)
    assert.equal(manifest.bugs, `${place}/issues`)
  })

  it('is tested on the versions of Node that its README names, the least of which it asks for', () => {
    const [, tested = ''] = /^ +node: \[(.*)\]$/m.exec(read('.github/workflows/ci.yml')) ?? []
    const [, least = '', named = ''] = /^\| Node \| (\S+) or later; tested on (.+?)\./m.exec(read('README.md')) ?? []
    assert.deepEqual(named.split(/, | and /), tested.split(', '))
    assert.equal(manifest.engines.node, `>=${least}`)
    assert.ok(tested.split(', ').includes(read('.nvmrc').trim()))
  })

  it('has pages whose links lead to a file of the package, or are addresses of the web', () => {
    const pages = packed.filter((path) => path.endsWith('.md')).map((path) => readPage(ROOT, path))
    assert.ok(pages.some(({ path }) => path === 'README.md') && pages.length > 10)
    const broken = pages
      .flatMap(({ links }) => links)
      .filter(({ target, isAbsolute }) => !isAbsolute && !packed.includes(target))
      .map(({ place, target }) => `${place}: ${target}`)
    assert.deepEqual(broken, [])
  })

  it('points from package.json to every public file', () => {
    for (const [name, subpath] of Object.entries(ENTRIES)) {
      const module = { types: `./dist/src/${name}.d.ts`, default: `./dist/src/${name}.js` }
      const commonjs = { types: `./dist/commonjs/${name}.d.ts`, default: `./dist/commonjs/${name}.js` }
      assert.deepEqual(manifest.exports[subpath], { 'module-sync': module, require: commonjs, default: module })
    }
    assert.deepEqual(manifest.bin, { 'koa-server-session': './dist/src/cli/index.js' })
    const allowed: string[] = ['./package.json', ...Object.values(ENTRIES)]
    assert.deepEqual(
      Object.keys(manifest.exports).filter((subpath) => !allowed.includes(subpath)),
      [],
    )
  })

  it('contains the compiled files, their sources, the licence, the changelog, the pages and pictures that lead on from the readme, and nothing else', () => {
    const others = packed.filter((path) => !/^(?:dist|src)\//.test(path))
    const ledTo = new Set(['README.md'])
    // Grows while it is walked.
    for (const path of ledTo) {
      const links = path.endsWith('.md') ? readPage(ROOT, path).links : []
      for (const { target, isAbsolute } of links) if (!isAbsolute) ledTo.add(target)
    }
    assert.deepEqual(others.toSorted(), ['CHANGELOG.md', 'LICENSE', 'package.json', ...ledTo].toSorted())
    const sources = packed.filter((path) => path.startsWith('src/'))
    const compiled = sources.flatMap((path) =>
      ['.js', '.js.map', '.d.ts', '.d.ts.map'].map((ending) => `dist/${path.replace(/\.ts$/, ending)}`),
    )
    // A second time for what cannot take ECMAScript modules, but for the command.
    const commonjs = sources
      .filter((path) => !path.startsWith('src/cli/'))
      .flatMap((path) => ['.js', '.d.ts'].map((ending) => path.replace(/^src\/(.*)\.ts$/, `dist/commonjs/$1${ending}`)))
    const expected = [...compiled, ...commonjs, 'dist/commonjs/package.json']
    assert.deepEqual(packed.filter((path) => path.startsWith('dist/')).toSorted(), expected.toSorted())
  })

  /** What users write after `from`, code only. */
  function specifiers(): string[] {
    return Object.keys(manifest.exports)
      .filter((subpath) => !subpath.endsWith('.json'))
      .map((subpath) => manifest.name + subpath.slice(1))
  }

  /** The names that each of them gives to `import`, in order. */
  function imported(): Record<string, string[]> {
    const all = specifiers().map((name) => `'${name}': Object.keys(await import('${name}')).sort()`)
    return JSON.parse(run('module', `console.log(JSON.stringify({ ${all.join()} }))`)) as Record<string, string[]>
  }

  /** What this program prints in a project that has the package installed; warnings count too. */
  function run(type: 'module' | 'commonjs', program: string): string {
    const { status, stdout, stderr } = spawnSync(process.execPath, [`--input-type=${type}`, '-e', program], {
      cwd: project,
      encoding: 'utf8',
    })
    assert.equal(status, 0, stderr)
    return (stdout + stderr).trim()
  }
})

describe('package-lock.json', () => {
  it('names no host, so that npm takes every package from the registry of whoever installs', () => {
    const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { resolved?: string }>
    }
    const resolved = Object.values(lock.packages).flatMap((entry) => entry.resolved ?? [])
    assert.deepEqual(resolved, [])
  })
})

function npm(...args: string[]): string {
  return execFileSync('npm', args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
}
