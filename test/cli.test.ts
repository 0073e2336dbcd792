import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileStore, session } from '../src/index.ts'
import { command, documents, program } from './support/processes/command.ts'
import { memcachedServer, type MemcachedServer } from './support/servers/memcached-server.ts'
import { newKey } from './support/stores/records.ts'
import { redisServer, type RedisServer } from './support/servers/redis-server.ts'
import { temporaryDirectory } from './support/temporary-directory.ts'

let redis: RedisServer
let memcached: MemcachedServer
before(async () => {
  ;[redis, memcached] = await Promise.all([redisServer(), memcachedServer()])
})
after(() => Promise.all([redis.stop(), memcached.stop()]))

describe('koa-server-session secret', () => {
  it('prints a new secret that keys accepts, or several', async () => {
    const { code, out, err } = await command(['secret', '--count', '3'])
    const secrets = out.trimEnd().split('\n')
    assert.deepEqual([code, err, new Set(secrets).size], [0, '', 3])
    for (const secret of secrets) assert.equal(Buffer.from(secret, 'base64url').length, 32)
    session({ keys: secrets, store: 'null:' })
    assert.match((await command(['secret'])).out, /^[\w-]{43}\n$/)
  })
})

describe('koa-server-session prune', () => {
  it('removes what has expired from files, and nothing else', async () => {
    const directory = temporaryDirectory()
    const store = fileStore({ directory, pruneInterval: 0 })
    const text = '{"format":1,"createdAt":0,"idleTimeout":1,"absoluteTimeout":1,"data":{}}'
    for (let made = 0; made < 5; made++) await store.save(newKey(), text, Date.now() - 3_600_000, undefined)
    const live = newKey()
    await store.save(live, text, Date.now() + 600_000, undefined)
    const pruned = await command(['prune', '--json', '-s', `file:${directory}`])
    assert.deepEqual([pruned.code, documents(pruned)], [0, [{ pruned: 5 }]])
    assert.ok(await store.load(live))
    assert.match((await command(['prune', '-s', `file:${directory}`])).out, /^0 expired sessions removed/)
  })

  it('has nothing to do on Redis and memcached, and says so', async () => {
    for (const url of [redis.url, memcached.url]) {
      const { code, err } = await command(['prune', '-s', url])
      assert.equal(code, 0)
      assert.match(err, /by itself/)
    }
  })
})

describe('a store that is not there', () => {
  it('is not made by looking for it', async () => {
    const directory = join(temporaryDirectory(), 'sessions')
    for (const args of [['list'], ['stats'], ['prune'], ['show', newKey()], ['revoke', newKey()]]) {
      const { code, err } = await command([...args, '-s', `file:${directory}`])
      assert.equal(code, 1)
      assert.match(err, /no sessions in the directory/)
    }
    assert.ok(!existsSync(directory))
  })

  it('is not taken for one if it holds something else', async () => {
    const cwd = temporaryDirectory()
    mkdirSync(join(cwd, '.sessions/ab'), { recursive: true })
    const { code, err } = await program(['prune'], { cwd })
    assert.equal(code, 1)
    assert.match(err, /directory \.sessions: it does not exist, or koa-server-session did not make it/)
  })

  it('is named with the reason, and without its password', async () => {
    for (const url of ['redis://ada:lovelace@127.0.0.1:1/0', 'memcached://127.0.0.1:1']) {
      const { code, out, err } = await command(['show', newKey(), '-s', url])
      assert.deepEqual([code, out], [1, ''])
      assert.match(err, /127\.0\.0\.1:1/)
      assert.match(err, /ECONNREFUSED/)
      assert.doesNotMatch(err, /lovelace|^ +at /m)
    }
  })
})

describe('wrong usage', () => {
  it('is answered on the standard error with a code of its own, and without the arguments', async () => {
    const cookie = `${'Pi-j92CNaIT-oboIwI4V8ncwt4jjnEc-u3csSrO4oh0'}.${'4lh5mTqD9utnfHd0g9xWQi87fahwMrV1aCiuMj3WQw8'}`
    const cases: [args: string[], sentence: RegExp][] = [
      [['lsit'], /"lsit" is not a command\. Did you mean list\?/],
      [['show', cookie], /secret.*public id/],
      [['list', '-s', 'mongodb://localhost'], /no store for "mongodb:".* redis:/],
      [['list', '-s', 'memory:'], /inside the application, where no other program can look/],
      [['revoke'], /either ids, or --subject NAME, or --also NAME=TEXT, or --all/],
      [['revoke', newKey(), '--all'], /either ids, or --subject NAME, or --also NAME=TEXT, or --all/],
      [['revoke', newKey(), '--except', newKey()], /--except goes with --subject, --also or --all/],
      [['secret', '--count', 'two'], /--count must be a number from 1 to 1000/],
      [[], /Usage\n.*<command>/],
    ]
    for (const [args, sentence] of cases) {
      const { code, out, err } = await command(args)
      assert.deepEqual([code, out], [2, ''])
      assert.match(err, sentence)
      assert.doesNotMatch(err, /oboIwI4V|4lh5mTqD|localhost|^ +at /m)
    }
  })
})

describe('help', () => {
  it('is given for all of it and for each command, with the exit codes', async () => {
    const overview = await command(['--help'])
    assert.equal(overview.code, 0)
    const names = [...overview.out.matchAll(/^ {2}(\w+) {2,}/gm)].map(([, name]) => name as string)
    assert.deepEqual(
      ['secret', 'list', 'show', 'revoke', 'prune', 'stats'].filter((name) => !names.includes(name)),
      [],
    )
    for (const args of [
      ['revoke', '--help'],
      ['help', 'revoke'],
    ]) {
      const { code, out, err } = await command(args)
      assert.deepEqual([code, err], [0, ''])
      assert.match(out, /koa-server-session revoke [^]*--except[^]*Exit codes\n {2}0 /)
    }
  })

  it('has the exit codes that the README has, in the same words', async () => {
    const { out } = await command(['--help'])
    const [, codes = ''] = /Exit codes\n([^]+)/.exec(out) ?? []
    const told = [...codes.matchAll(/^ {2}(\d+) +(.+)$/gm)].map(([, code, meaning]) => `${code} ${meaning}`)
    assert.equal(told.length, 5)
    const readme = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8')
    const [, sentence = ''] = /the exit code is for scripts: (.+?)\. /.exec(readme) ?? []
    assert.equal(sentence, told.join('; '))
  })

  it('tells the version of the package', async () => {
    const manifest = readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')
    const { version } = JSON.parse(manifest) as { version: string }
    assert.equal((await command(['--version'])).out, `${version}\n`)
  })
})
