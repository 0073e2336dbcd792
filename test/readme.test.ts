import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { OPTION_NAMES } from '../src/options.ts'

const ROOT = join(import.meta.dirname, '../..')
const README = readFileSync(join(ROOT, 'README.md'), 'utf8')
const TSC = join(createRequire(import.meta.url).resolve('typescript/package.json'), '../bin/tsc')

// Inside the package, so that its programs find `koa` and `koa-server-session` as an application would.
const directory = join(ROOT, 'dist/readme')
mkdirSync(directory, { recursive: true })
after(() => rmSync(directory, { recursive: true, force: true }))

/** What the README's fragments of an application take for granted. */
const PRELUDE = `
import type Koa from 'koa'
import Router from 'koa-router'
import { getSession, type Sessions } from 'koa-server-session'
declare module 'koa-server-session' {
  interface SessionData {
    cart?: { items: { sku: string }[] }
    draft?: string
    a?: number
  }
}
declare module 'koa' {
  interface Request {
    body?: unknown // as a body parser declares it
  }
}
declare const ctx: Koa.Context
declare const sessions: Sessions
declare function checkPassword(form: unknown): Promise<{ id: string; wantsToBeRemembered: boolean }>
const router = new Router()
`

function blocks(language: string): string[] {
  return [...README.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(([, code]) => code as string)
}

/** The names in the first column of the table under this heading. */
function firstColumn(heading: string): string[] {
  const section = README.slice(README.indexOf(`\n## ${heading}\n`) + 1).split('\n## ')[0] as string
  return [...section.matchAll(/^\| `([^`]+)`/gm)].map(([, name]) => name as string)
}

describe('the first program of the README', () => {
  it('answers as its transcript says, header by header', async (test) => {
    const program = blocks('js')[0] as string
    assert.match(program, /app\.listen\(3000\)/)
    const file = join(directory, 'app.mjs')
    writeFileSync(
      file,
      program.replace(
        'app.listen(3000)',
        "app.listen(0, '127.0.0.1', function () { console.log(this.address().port) })",
      ),
    )
    const child = spawn(process.execPath, [file], {
      cwd: directory,
      env: { ...process.env, SESSION_KEY: 'a signing key for the README, and long' },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    test.after(() => child.kill('SIGKILL'))
    const [port] = (await once(child.stdout, 'data')) as [Buffer]
    const url = `http://127.0.0.1:${String(port).trim()}/`

    const first = await fetch(url)
    const transcript = blocks('console')[0] as string
    const [shown = '', body = ''] = transcript.slice(transcript.indexOf('HTTP/1.1')).split('\n\n')
    const [status = '', ...headers] = shown.split('\n')
    assert.equal(`HTTP/1.1 ${first.status} ${first.statusText}`, status)
    const masked = (text: string): string => text.replace(/sid=[\w-]{43}\.[\w-]{43}/, 'sid=…')
    for (const header of headers) {
      const [name = '', value = ''] = header.split(/: (.*)/)
      assert.equal(masked(first.headers.get(name) ?? ''), masked(value), name)
    }
    const unsaid = ['date', 'connection', 'keep-alive']
    assert.deepEqual(
      [...first.headers.keys()].filter((name) => !unsaid.includes(name)).sort(),
      headers.map((header) => header.split(':')[0]?.toLowerCase()).sort(),
    )
    const cookie = first.headers.getSetCookie()[0]?.split(';')[0] as string
    const second = await fetch(url, { headers: { cookie } })
    assert.deepEqual(second.headers.getSetCookie(), [])
    assert.match(body, new RegExp(`^${await first.text()}[^]*${await second.text()}`))
  })
})

describe('the README', () => {
  it('shows TypeScript that compiles', () => {
    for (const [index, code] of blocks('ts').entries()) {
      const isModule = /^(?:import|declare module)/m.test(code)
      writeFileSync(
        join(directory, `block-${index}.ts`),
        isModule
          ? `${code}\nexport {}\ndeclare function myStore(): import('koa-server-session').Store\n`
          : `${PRELUDE}\nexport async function block(): Promise<void> {\n${code}}\n`,
      )
    }
    writeFileSync(
      join(directory, 'tsconfig.json'),
      JSON.stringify({
        extends: '../../tsconfig.json',
        compilerOptions: {
          noEmit: true,
          rootDir: '../..',
          noUnusedLocals: false,
          isolatedDeclarations: false,
          declaration: false,
          declarationMap: false,
        },
        include: ['.'],
        exclude: [],
      }),
    )
    const { status, stdout } = spawnSync(process.execPath, [TSC, '-p', directory], { encoding: 'utf8' })
    assert.equal(status, 0, stdout)
  })

  it('lists every option there is, and no other', () => {
    assert.deepEqual(firstColumn('Options').sort(), [...OPTION_NAMES].sort())
  })

  it('lists every error code there is, and no other', () => {
    const source = readFileSync(join(ROOT, 'src/errors.ts'), 'utf8')
    const codes = [...source.matchAll(/^ {2}\| '(ERR_SESSION_\w+)'/gm)].map(([, code]) => code as string)
    assert.ok(codes.length > 10)
    assert.deepEqual(firstColumn('Errors').sort(), codes.sort())
  })

  it('names the guarantees that are tested, each in a file of its own', () => {
    const named = [...README.matchAll(/^- \*\*G(\d+)\*\*/gm)].map(([, number]) => Number(number))
    const tested = readdirSync(join(ROOT, 'test/guarantees')).map((file) => Number(/^g(\d+)-/.exec(file)?.[1]))
    assert.deepEqual(
      named.sort((a, b) => a - b),
      tested.sort((a, b) => a - b),
    )
  })
})
