import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { publicDeclarations, referencePage } from '../docs/generate/reference.ts'
import { OPTION_NAMES } from '../src/options.ts'
import { inlineCodeOf, readPage, readPages, type Block, type Page } from './support/documents/pages.ts'
import { requires as browser } from './support/clients/browser.ts'
import { redisServer } from './support/servers/redis-server.ts'
import { commandOf } from './support/servers/requirement.ts'
import { Ports, Shell } from './support/documents/transcript.ts'

const ROOT = join(import.meta.dirname, '../..')
const TSC = join(createRequire(import.meta.url).resolve('typescript/package.json'), '../bin/tsc')
const API = 'docs/api.md'

const pages = readPages(ROOT)
const source = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => readFileSync(join(ROOT, 'src', file), 'utf8'))
  .join('\n')
const declarations = publicDeclarations(join(ROOT, 'dist/src'))

// Inside the package, so that its programs find `koa` and `koa-server-session` as an application would.
const directory = join(ROOT, 'dist/programs')
after(() => rmSync(directory, { recursive: true, force: true }))

/** What fragments of an application take for granted: those blocks that import nothing themselves. */
const PRELUDE = `
import { AsyncLocalStorage } from 'node:async_hooks'
import assert from 'node:assert/strict'
import type {} from '@koa/bodyparser'
import Koa from 'koa'
import Router from 'koa-router'
import {
  bindSession, crossOrigin, fromExpressStore, getSession, isSessionError, requireProof, runWithSession, session, tryGetSession,
  fileStore, memcachedStore, memoryStore, redisShards, redisStore, type Session, type SessionError, type Sessions,
} from 'koa-server-session'
import { fakeSession, readSession, signIn, type SignedIn } from 'koa-server-session/testing'
import { fromExpressSession, fromKoaSession } from 'koa-server-session/moving'
declare module 'koa-server-session' {
  interface SessionData {
    a?: number
    cart?: { items: { sku: string }[] }
    draft?: string
    userId?: string
    views?: number
  }
}
declare const app: Koa
declare const ctx: Koa.Context
declare const router: Router
declare const sessions: Sessions
declare const keys: string[]
declare const ada: SignedIn
declare const oldSecret: string
declare const oldStore: { get(id: string, ...more: unknown[]): unknown; destroy(id: string, ...more: unknown[]): unknown }
declare function addToCart(sku: string): void
`

describe('the documentation', () => {
  before(() => rmSync(directory, { recursive: true, force: true }))

  it('shows TypeScript that compiles', () => {
    const generated = new Set(declarations.map(({ signature }) => `${signature}\n`))
    for (const page of pages) {
      mkdirSync(folderOf(page), { recursive: true })
      for (const [index, block] of page.blocks.entries()) {
        if (block.language !== 'ts' || (page.path === API && generated.has(block.code))) continue
        writeFileSync(join(folderOf(page), block.file ?? `block-${index}.ts`), program(block))
      }
    }
    writeFileSync(
      join(directory, 'tsconfig.json'),
      JSON.stringify({
        extends: '../../tsconfig.json',
        compilerOptions: {
          rootDir: '.',
          outDir: '.',
          noUnusedLocals: false,
          noUnusedParameters: false,
          isolatedDeclarations: false,
          declaration: false,
          declarationMap: false,
          sourceMap: false,
        },
        include: ['.'],
        exclude: [],
      }),
    )
    const { status, stdout } = spawnSync(process.execPath, [TSC, '--checkers', '1', '-p', directory], {
      encoding: 'utf8',
    })
    assert.equal(status, 0, stdout)
  })

  for (const page of pages.filter(({ blocks }) => blocks.some(isPlayed))) {
    it(`shows what its commands do: ${page.path}`, async (test) => {
      const played = page.blocks.filter(isPlayed)
      const ports = new Ports()
      await ports.choose(page.blocks.map(({ code }) => code))
      const redisPort = ports.get('6379')
      if (redisPort !== undefined) {
        const redis = await redisServer({ port: redisPort })
        test.after(() => redis.stop())
      }
      const folder = folderOf(page)
      mkdirSync(folder, { recursive: true })
      for (const { file, code, language } of page.blocks) {
        if (file && language !== 'ts') writeFileSync(join(folder, file), ports.toActual(code))
      }
      for (const file of readdirSync(folder).filter((name) => page.blocks.some((block) => compiled(block) === name)))
        writeFileSync(join(folder, file), ports.toActual(readFileSync(join(folder, file), 'utf8')))
      const namesBrowser = page.blocks.some(({ code }) => code.includes('CHROMIUM'))
      const shell = new Shell(ROOT, folder, ports, namesBrowser ? { CHROMIUM: commandOf(browser) } : {})
      test.after(() => shell.close())
      const went: string[] = []
      for (const block of played) went.push(`${block.place}\n${await shell.play(block)}`)
      assert.equal(went.join('\n'), played.map(({ place, code }) => `${place}\n${code}`).join('\n'))
    })
  }

  it('has no block that nothing checks, but those that say so', (test) => {
    const deploying = readFileSync(join(ROOT, 'test/deploying.test.ts'), 'utf8')
    const unchecked: string[] = []
    const hidden: string[] = []
    for (const { blocks } of pages) {
      // Run by a command, or imported by what is run.
      const runners = [
        ...blocks.filter(isPlayed).map(({ code }) => code),
        ...blocks.flatMap(({ code }) => code.match(/^import .*'\.\/.*'/gm) ?? []),
      ]
      for (const { place, language, file, notRun, code } of blocks) {
        if (notRun) unchecked.push(`${place}: ${notRun}`)
        else if (['ts', 'console', 'sh'].includes(language)) continue
        else if (language === 'nginx') continue // by test/companions/affinity.test.ts
        else if (language === 'js') {
          const isRun = runners.some((runner) => file && runner.includes(file))
          if (!isRun) hidden.push(`${place} is run by nothing on its page`)
        } else if (['dockerfile', 'nginx', 'yaml'].includes(language)) {
          const isChecked = file !== undefined && deploying.includes(`shown('${file}')`)
          if (!isChecked) hidden.push(`${place} is not looked at by test/deploying.test.ts`)
        } else if (language === 'json') JSON.parse(code)
        else if (language !== 'text' || !/[─│▶→]/.test(code)) hidden.push(`${place} is no diagram, and nothing runs it`)
      }
    }
    for (const reason of unchecked) test.diagnostic(`not run: ${reason}`)
    assert.deepEqual(hidden, [])
    assert.ok(unchecked.length < 5, unchecked.join('\n'))
  })

  it('links to what there is', () => {
    const others = ['CHANGELOG.md', 'bench/README.md', 'test/checker/README.md'].filter((path) =>
      existsSync(join(ROOT, path)),
    )
    const all = new Map([...pages, ...others.map((path) => readPage(ROOT, path))].map((page) => [page.path, page]))
    const broken = [...all.values()]
      .flatMap(({ links }) => links)
      .filter(({ target, anchor }) => {
        if (/^[a-z]+:/.test(target)) return false
        if (!existsSync(join(ROOT, target))) return true
        return anchor !== undefined && !all.get(target)?.anchors.has(anchor)
      })
      .map(({ place, target, anchor }) => `${place}: ${target}${anchor === undefined ? '' : `#${anchor}`}`)
    assert.deepEqual(broken, [])
  })

  it('leads from its index to every page', () => {
    const index = pages.find(({ path }) => path === 'docs/README.md') as Page
    const linked = new Set(index.links.map(({ target }) => target))
    assert.deepEqual(
      pages.map(({ path }) => path).filter((path) => path !== index.path && !linked.has(path)),
      [],
    )
  })

  it('names only what there is: files, options, errors, counters, channels, warnings, members', () => {
    const data = ['cart', 'draft', 'provedAt', 'userId', 'views', 'visits', 'x']
    // There, the first column names what other libraries have.
    const ours = ({ path, text, inlineCode }: Page): readonly string[] =>
      path === 'docs/migrating.md' ? inlineCodeOf(text.replace(/^\|[^|]*\|/gm, '|')) : inlineCode
    const rules: [RegExp, (name: string) => boolean][] = [
      [/^((?:src|test|docs|example|bench)\/[\w./-]+)$/, (path) => existsSync(join(ROOT, path))],
      [/^(?:npx )?koa-server-session (\w+)/, (command) => existsSync(join(ROOT, `src/cli/commands/${command}.ts`))],
      [/^cookie\.(\w+)/, (name) => members('CookieOptions').includes(name)],
      [/^cache\.(\w+)/, (name) => members('CacheOptions').includes(name)],
      [/^stats\(\)\.(\w+)/, (name) => members('SessionStats').includes(name)],
      [/^sessions\.(\w+)/, (name) => members('Sessions').includes(name)],
      [/^(?:ctx\.)?session\.(\w+)/, (name) => members('SessionMembers').includes(name) || data.includes(name)],
    ]
    const anywhere = [/\bERR_SESSION_\w+/g, /\bkoa-server-session:\w+/g, /\bSESSION_STORE_\w+/g]
    const strangers = pages.flatMap((page) => [
      ...ours(page).flatMap((code) =>
        rules.flatMap(([pattern, isThere]) => {
          const name = pattern.exec(code)?.[1]
          return name === undefined || isThere(name) ? [] : [`${page.path}: ${code}`]
        }),
      ),
      ...anywhere
        .flatMap((pattern) => page.text.match(pattern) ?? [])
        .filter((name) => !source.includes(`'${name}'`))
        .map((name) => `${page.path}: ${name}`),
    ])
    assert.deepEqual([...new Set(strangers)], [])
  })

  it('cites ASVS with its edition, as the sources do, because each edition has other numbers', () => {
    const texts = [...pages.map(({ path, text }) => [path, text] as const), ['src', source] as const]
    const bare = texts.filter(([, text]) => /\bASVS\b(?! 5\.0\b)/.test(text)).map(([path]) => path)
    assert.deepEqual(bare, [])
  })

  it('quotes tests that there are, by their own words', () => {
    const broken = pages.flatMap(({ path, text }) =>
      [...text.matchAll(/\]\([^)\s]*?\b(test\/[\w./-]+\.test\.ts)\) “([^”]+)”/g)]
        .filter(([, file = '', words = '']) => !readFileSync(join(ROOT, file), 'utf8').includes(words))
        .map(([, file, words]) => `${path}: ${file} has no test “${words}”`),
    )
    assert.deepEqual(broken, [])
  })
})

describe('the reference of the API', () => {
  it('is what `npm run docs` makes of the declarations', () => {
    const written = readFileSync(join(ROOT, API), 'utf8')
    assert.equal(written, referencePage(join(ROOT, 'dist/src')), 'Run: npm run docs')
  })
})

describe('the page about operating', () => {
  const page = pages.find(({ path }) => path === 'docs/operating.md') as Page

  it('lists every counter, channel and warning there is, and no other', () => {
    const channels = [...source.matchAll(/[cC]hannel\('(koa-server-session:\w+)'\)/g)].map(([, name]) => name as string)
    const warnings = [...source.matchAll(/'(SESSION_[A-Z_]+)'/g)].map(([, code]) => code as string)
    assert.ok(channels.length > 5 && warnings.length > 3)
    assert.deepEqual(firstColumn(page, 'Counters').sort(), members('SessionStats').sort())
    assert.deepEqual(firstColumn(page, 'Channels').sort(), channels.sort())
    assert.deepEqual(
      firstColumn(page, 'Warnings')
        .filter((code) => code.startsWith('SESSION_'))
        .sort(),
      [...new Set(warnings)].sort(),
    )
  })
})

describe('the page about the architecture', () => {
  const page = pages.find(({ path }) => path === 'ARCHITECTURE.md') as Page

  it('names every file of src in its tree, but for the folders that it names as a whole, and no other', () => {
    const named: string[] = []
    let folder = 'src'
    for (const line of page.blocks[0]?.code.split('\n').slice(1) ?? []) {
      const [, isRoom, name] = /^(├─)?[│ ]*([\w-]+(?:\.ts|\/)) +\S/.exec(line) ?? []
      if (name === undefined) continue
      if (isRoom) folder = `src/${name.slice(0, -1)}`
      else if (line.startsWith('│ ') && !line.startsWith('│  ')) folder = 'src'
      named.push(isRoom ? folder : `${folder}/${name}`)
    }
    const whole = /^src\/(?:stores|cli)\/|^src\/(?:layers|tools)\/\w+\//
    const files = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
      .map((file) => `src/${file}`)
      .filter((file) => file.endsWith('.ts') && !whole.test(file))
    assert.deepEqual(
      {
        notNamed: files.filter((path) => !named.includes(path)),
        notThere: named.filter((path) => !existsSync(join(ROOT, path))),
      },
      { notNamed: [], notThere: [] },
    )
  })

  it('says where each guarantee of the README lives', () => {
    const readme = pages.find(({ path }) => path === 'README.md') as Page
    const numbers = ({ text }: Page, pattern: RegExp): string[] =>
      [...text.matchAll(pattern)].map(([, number]) => number as string)
    assert.deepEqual(numbers(page, /^\| G(\d+) /gm), numbers(readme, /^- \*\*G(\d+)\*\*/gm))
  })
})

describe('the README', () => {
  it('leads to every guide', () => {
    const linked = new Set((pages.find(({ path }) => path === 'README.md') as Page).links.map(({ target }) => target))
    const guides = pages.map(({ path }) => path).filter((path) => /^docs\/[\w-]+\.md$/.test(path))
    assert.deepEqual(
      guides.filter((path) => path !== 'docs/README.md' && !linked.has(path)),
      [],
    )
  })

  const readme = pages.find(({ path }) => path === 'README.md') as Page

  it('lists every option there is, and no other', () => {
    assert.deepEqual(firstColumn(readme, 'Options').sort(), [...OPTION_NAMES].sort())
  })

  it('lists every error code there is, and no other', () => {
    const source = readFileSync(join(ROOT, 'src/errors.ts'), 'utf8')
    const codes = [...source.matchAll(/^ {2}\| '(ERR_SESSION_\w+)'/gm)].map(([, code]) => code as string)
    assert.ok(codes.length > 10)
    assert.deepEqual(firstColumn(readme, 'Errors').sort(), codes.sort())
  })

  it('names the guarantees that are tested, each in files of its own', () => {
    const named = [...readme.text.matchAll(/^- \*\*G(\d+)\*\*/gm)].map(([, number]) => Number(number))
    const tested = readdirSync(join(ROOT, 'test/guarantees')).map((file) => Number(/^g(\d+)-/.exec(file)?.[1]))
    assert.deepEqual(
      named.sort((a, b) => a - b),
      [...new Set(tested)].sort((a, b) => a - b),
    )
  })
})

function isPlayed({ language, notRun }: Block): boolean {
  return (language === 'console' || language === 'sh') && !notRun
}

function folderOf({ path }: Page): string {
  return join(directory, basename(path, '.md'))
}

function compiled({ language, file }: Block): string | undefined {
  return language === 'ts' ? file?.replace(/\.ts$/, '.js') : undefined
}

/** A block as a file of its own: as it is, or within a function if it is a fragment. */
function program({ code, given }: Block): string {
  return /^(?:import|export|declare module)\b/m.test(code)
    ? `${given}\n${code}\nexport {}\n`
    : `${PRELUDE}\n${given}\nexport async function fragment(): Promise<void> {\n${code}}\n`
}

/** The names of the members of what is exported under this name. */
function members(name: string): string[] {
  return declarations.find((declaration) => declaration.name === name)?.members.map((member) => member.name) ?? []
}

/** The names in the first column of the table under this heading. */
function firstColumn({ text }: Page, heading: string): string[] {
  const section = text.slice(text.indexOf(`\n## ${heading}\n`) + 1).split('\n## ')[0] as string
  return [...section.matchAll(/^\| (`[^|]+`) \|/gm)].flatMap(([, cell]) => inlineCodeOf(cell as string))
}
