import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { atTerminal, callsAtTerminal, command, pipeline, program } from '../support/processes/command.ts'
import { fileStore } from '../../src/index.ts'
import { newKey } from '../support/stores/records.ts'
import { redisServer } from '../support/servers/redis-server.ts'
import { rudeServer } from '../support/servers/rude-server.ts'
import { visits } from '../support/visit.ts'
import { watchedSite } from '../support/sites/watched-site.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

describe('at a terminal', () => {
  it('headings are bold, unless NO_COLOR is set', async (test) => {
    const { store, visit } = await watchedSite(test, `file:${temporaryDirectory()}`)
    await visit('ada')
    const { screen } = await atTerminal(['list', '-s', store]).ended()
    assert.ok(screen.startsWith('\u001B[1mID '))
    const plain = await atTerminal(['list', '-s', store], { env: { NO_COLOR: '1' } }).ended()
    assert.match(plain.screen, /^ID /)
  })

  it('a label cannot steer it', async (test) => {
    const { store, visit } = await watchedSite(test, `file:${temporaryDirectory()}`)
    const { id } = await visit('ada\u202E', 'red \u001B[31m\u009B2J')
    const calls = [['list'], ['show', id], ['list', '--json'], ['show', id, '--json']]
    const ended = await callsAtTerminal(
      calls.map((args) => [...args, '-s', store]),
      { env: { NO_COLOR: '1' } },
    )
    assert.equal(ended.length, calls.length)
    for (const { screen } of ended) {
      assert.match(screen, /red /)
      // oxlint-disable-next-line no-control-regex
      assert.doesNotMatch(screen, /[\u001B\u009B\u202E]/)
    }
    const [line] = [JSON.parse((await command(['list', '--json', '-s', store])).out) as { label: string }]
    assert.equal(line?.label, 'red \u001B[31m\u009B2J')
  })

  it('neither names nor values in the data can', async () => {
    const directory = join(temporaryDirectory(), 'sessions')
    const store = fileStore({ directory, pruneInterval: 0 })
    const id = await visits({ store }).stored({
      'a\u001B]0;b\u0007': 1,
      // oxlint-disable-next-line no-control-regex
      'c\nsize': new RegExp('d\u001B.8m'),
      e: { 'f\u009B2J': 'g\u202Eh' },
    })
    const calls = [[], ['--json']].map((flags) => ['show', id, ...flags, '-s', `file:${directory}`])
    const ended = await callsAtTerminal(calls)
    assert.equal(ended.length, 2)
    for (const { screen } of ended) {
      assert.match(screen, /c\\(?:n|u\{a\})size/)
      // oxlint-disable-next-line no-control-regex
      assert.doesNotMatch(screen.replace(/\u001B\[(?:1|2|22)m|\r\n/g, ''), /[\p{Cc}\p{Cf}]/u)
    }
  })

  it('nor can what a server says', async (test) => {
    const rude = 'rude \u001B[2J\u009B31m\u202E\r\n'
    const redis = await rudeServer(test, () => `-ERR ${rude}`)
    const memcached = await rudeServer(test, () => `SERVER_ERROR ${rude}`)
    const id = newKey()
    const calls = [`redis://127.0.0.1:${redis}`, `memcached://127.0.0.1:${memcached}`].flatMap((url) =>
      [
        ['show', id],
        ['show', id, '--json'],
        ['revoke', id],
      ].map((args) => [...args, '-s', url]),
    )
    const ended = await callsAtTerminal(calls)
    assert.equal(ended.length, calls.length)
    for (const { code, screen } of ended) {
      assert.equal(code, 1)
      assert.match(screen, /rude \\u\{1b\}\[2J/)
      assert.doesNotMatch(screen.replaceAll('\r\n', ''), /[\p{Cc}\p{Cf}]/u)
    }
  })

  it('nor can the address of the store, wherever that came from', async () => {
    const { screen } = await atTerminal(['list', '-s', 'file:./no\u001B[2J']).ended()
    assert.match(screen, /no\\u\{1b\}\[2J/)
    assert.doesNotMatch(screen.replaceAll('\r\n', ''), /[\p{Cc}\p{Cf}]/u)
  })

  it('revoke --all asks, and does nothing unless the answer is yes', async (test) => {
    const { store, visit, whoIs } = await watchedSite(test, `file:${temporaryDirectory()}`)
    const { browser } = await visit('ada')
    for (const [keys, code] of [
      ['n\r', 1],
      ['\r', 1],
      ['\u0004', 1],
      ['\u0003', 130],
    ] as const) {
      const call = atTerminal(['revoke', '--all', '-s', store])
      await call.sees(/End all sessions in file:.*\[y\/N\]/)
      call.types(keys)
      assert.equal((await call.ended()).code, code)
      assert.equal(await whoIs(browser), 'ada')
    }
    const call = atTerminal(['revoke', '--all', '-s', store])
    await call.sees(/\[y\/N\]/)
    call.types('yes\r')
    const { code, screen } = await call.ended()
    assert.equal(code, 0)
    assert.match(screen, /1 session ended/)
    assert.equal(await whoIs(browser), 'undefined')
  })

  it('long work shows a bar, which is gone in the end; elsewhere there is none', async (test) => {
    const own = await redisServer()
    test.after(() => own.stop())
    const url = `${own.url}?deadline=60000`
    const { visit } = await watchedSite(test, own.url)
    await visit('ada')
    await own.freeze()
    const elsewhere = command(['stats', '-s', url])
    const call = atTerminal(['stats', '-s', url])
    await call.sees(/Counting sessions \[\.*#\.*\]/)
    own.thaw()
    const { code, screen } = await call.ended()
    assert.equal(code, 0)
    assert.match(screen, /Looking at sessions \[\.+\] 0 % of 1/)
    // oxlint-disable-next-line no-control-regex
    assert.match(screen.split('\u001B[2K').at(-1) ?? '', /^(?:\u001B\[\d+m)*store/)
    assert.equal((await elsewhere).err, '')
  })

  it('Ctrl-C ends long work cleanly', async (test) => {
    const own = await redisServer()
    test.after(() => own.stop())
    await own.freeze()
    const call = atTerminal(['stats', '-s', `${own.url}?deadline=60000`])
    await call.sees(/Counting sessions/)
    call.types('\u0003')
    // Until then the keys have not become a signal yet, and a server that answers could be quicker.
    await call.sees(/\^C/)
    own.thaw()
    const { code, screen } = await call.ended()
    assert.equal(code, 130)
    // oxlint-disable-next-line no-control-regex
    assert.match(screen, /\u001B\[2K$/)
  })
})

describe('very many sessions', () => {
  const COUNT = 4000

  /** On a server of its own, each of 12 kB: more in all than the command may have memory. */
  async function crowdedRedis(test: TestContext): Promise<string> {
    const own = await redisServer()
    test.after(() => own.stop())
    const now = Date.now()
    const text = `{"format":1,"createdAt":${now},"idleTimeout":1800000,"absoluteTimeout":28800000,"data":{\n"x":"${'x'.repeat(12_000)}"\n}}`
    const script = `for n = 1, ${COUNT} do
      redis.call('SET', 'session:' .. redis.sha1hex(n) .. string.rep('0', 24), ARGV[1]) end`
    await own.cli('EVAL', script, '0', `${now + 1_800_000}|1|${text}`)
    return own.url
  }

  it('are listed and counted in little memory, and a reader who has enough ends it quietly', async (test) => {
    const url = await crowdedRedis(test)
    const nodeOptions = ['--max-old-space-size=32']
    const counted = await program(['stats', '--json', '-s', url], { nodeOptions })
    const { sessions } = JSON.parse(counted.out) as { sessions: number }
    assert.equal(sessions, COUNT)
    const listed = await pipeline(`$CLI list --json -s '${url}' | wc -l`, { env: { NODE_OPTIONS: nodeOptions.join() } })
    assert.deepEqual([listed.code, listed.out.trim(), listed.err], [0, String(COUNT), ''])
    const first = await pipeline(`$CLI list -s '${url}' | head -n 1`)
    assert.deepEqual([first.code, first.out.slice(0, 3), first.err], [0, 'ID ', ''])
  })

  it('whose list cannot be written is a failure', async (test) => {
    const { store, visit } = await watchedSite(test, `file:${temporaryDirectory()}`)
    await visit('ada')
    const { code, err } = await pipeline(`$CLI list -s '${store}' > /dev/full`)
    assert.equal(code, 1)
    assert.match(err, /ENOSPC/)
  })
})
