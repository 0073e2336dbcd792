import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, it, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { movingStore, type Store } from '../../src/index.ts'
import { storeFromUrl } from '../../src/stores/url.ts'
import { command, documents } from '../support/processes/command.ts'
import { until } from '../support/servers/server-process.ts'
import { KEY } from '../support/sites/http.ts'
import { watchedSite } from '../support/sites/watched-site.ts'
import { recordingStore } from '../support/stores/recording-store.ts'
import { collect, later, newKey, rejection, savedOf } from '../support/stores/records.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const CLI = fileURLToPath(new URL('../../src/cli/index.js', import.meta.url))

function open(test: TestContext, url: string): Store {
  const store = storeFromUrl(url)
  test.after(() => store.close?.())
  return store
}

function places(): { from: string; to: string; sqlite: string } {
  const directory = temporaryDirectory('copied')
  return { from: `file:${directory}/from`, to: `file:${directory}/to`, sqlite: `sqlite://${directory}/to.db` }
}

/** Records in this store; returns their keys. */
async function filled(store: Store, count: number): Promise<string[]> {
  const keys = Array.from({ length: count }, newKey)
  for (const key of keys) savedOf(await store.save(key, `text ${key}`, later(), undefined))
  return keys
}

function keysIn(store: Store): Promise<string[]> {
  return collect(store.keys?.() ?? assert.fail('it lists'))
}

describe('koa-server-session copy FROM TO', () => {
  it('copies sessions as they are, with their ends, into a store that it makes', async (test) => {
    const { from, to, sqlite } = places()
    const options = { encrypt: true }
    const { visit, whoIs } = await watchedSite(test, from, options)
    const { id, browser } = await visit('ada', 'phone')
    for (const place of [to, sqlite]) {
      const ended = await command(['copy', from, place])
      assert.deepEqual([ended.code, ended.err], [0, ''])
      assert.match(ended.out, /^1 session copied from file:.*\/from to \w+:.*\.\n$/)
      const there = await watchedSite(test, place, options)
      assert.equal(await there.whoIs(browser.at(there.port)), 'ada')
      const [old, copied] = await Promise.all([from, place].map(async (url) => open(test, url).load(id)))
      assert.deepEqual([copied?.text, copied?.expiresAt], [old?.text, old?.expiresAt])
    }
    assert.equal(await whoIs(browser), 'ada')
  })

  it('lists the users of an application at once, if it is told its cookie', async (test) => {
    const { from, to, sqlite } = places()
    const { visit } = await watchedSite(test, from, { encrypt: true })
    const { id } = await visit('ada')
    await visit()
    const listed = async (place: string): Promise<unknown[]> =>
      documents(
        await command(['list', '--subject', 'ada', '--cookie', 'sid', '--json', '-s', place], { SESSION_KEY: KEY }),
      ).map((line) => line['id'])
    assert.equal((await command(['copy', from, to])).code, 0)
    assert.deepEqual(await listed(to), [])
    for (const place of [to, sqlite]) {
      const ended = await command(['copy', from, place, '--cookie', 'sid', '--json'], { SESSION_KEY: KEY })
      assert.equal(ended.code, 0)
      assert.deepEqual(await listed(place), [id])
    }
    const blind = await command(['copy', from, to, '--cookie', 'sid'])
    assert.deepEqual([blind.code, blind.out], [2, ''])
    assert.match(blind.err, /--cookie needs SESSION_KEY/)
  })

  it('replaces nothing, takes a later end, and says what differs', async (test) => {
    const { from, to } = places()
    const [source, target] = [open(test, from), open(test, to)]
    const [missing = '', changed = '', touched = ''] = await filled(source, 3)
    assert.equal((await command(['copy', from, to, '--json'])).code, 0)
    savedOf(await target.save(changed, 'newer', later(), await target.load(changed)))
    await target.delete(missing)
    const end = later(3_600_000)
    await source.touch(touched, end)
    const again = await command(['copy', from, to, '--json'])
    assert.deepEqual(JSON.parse(again.out), { copied: 1, present: 1, different: 1, left: 0 })
    assert.equal(again.code, 1)
    assert.match(again.err, /1 session in file:.*\/to are not as in file:.*\/from, and were left as they are/)
    assert.equal((await target.load(changed))?.text, 'newer')
    assert.equal((await target.load(touched))?.expiresAt, end)
    const said = await command(['copy', from, to])
    assert.match(said.out, /^0 sessions copied .*\n2 sessions had been copied before\.\n$/)
  })

  it('loses nothing if it is stopped, killed, and started again', async (test) => {
    const { from, to } = places()
    const [source, target] = [open(test, from), open(test, to)]
    const keys = await filled(source, 600)
    const codes: unknown[] = []
    for (const signal of ['SIGINT', 'SIGKILL'] as const) {
      const before = (await keysIn(target)).length
      const child = spawn(process.execPath, [CLI, 'copy', from, to], { stdio: 'ignore' })
      const exited = once(child, 'exit')
      await until(async () => child.exitCode !== null || (await keysIn(target)).length > before)
      child.kill(signal)
      codes.push((await exited)[0] ?? (await exited)[1])
    }
    assert.ok([130, 0].includes(codes[0] as number), `after Ctrl-C: ${codes[0]}`)
    const ended = await command(['copy', from, to, '--json'])
    assert.equal(ended.code, 0)
    const { copied, present } = JSON.parse(ended.out) as { copied: number; present: number }
    assert.equal(copied + present, keys.length)
    for (const key of keys) assert.equal((await target.load(key))?.text, `text ${key}`)
    assert.equal((await keysIn(source)).length, keys.length)
  })

  it('copies what movingStore has not moved yet, and finishes what it was stopped at', async (test) => {
    const { from, to } = places()
    const [source, target] = [open(test, from), open(test, to)]
    const [moved = '', begun = '', noted = '', still = ''] = await filled(source, 4)
    const both = movingStore(source, target)
    savedOf(await both.save(moved, 'moved', later(), await both.load(moved)))
    for (const [key, failing] of [
      [begun, 'from'],
      [noted, 'to'],
    ] as const) {
      const [here, there] = [recordingStore({ over: source }), recordingStore({ over: target })]
      const known = await both.load(key)
      // The pending record is made; then the note, or the record, is not.
      const held = there.hold('save', 'after')
      const saving = movingStore(here, there).save(key, `${key} anew`, later(), known)
      await held.arrived
      ;(failing === 'from' ? here : there).fail('save', new Error('the process is killed'))
      held.release()
      await rejection(saving)
    }
    const ended = await command(['copy', from, to, '--json'])
    assert.deepEqual([ended.code, JSON.parse(ended.out)], [0, { copied: 2, present: 0, different: 0, left: 0 }])
    const texts = await Promise.all([moved, begun, noted, still].map(async (key) => (await target.load(key))?.text))
    assert.deepEqual(texts, ['moved', `text ${begun}`, `${noted} anew`, `text ${still}`])
  })

  it('takes $SESSION_STORE for -, and refuses one store twice, a store that is not there, and one that cannot list', async (test) => {
    const { from, to } = places()
    await filled(open(test, from), 1)
    const byName = await command(['copy', '-', to], { SESSION_STORE: from })
    assert.match(byName.out, /^1 session copied/)
    const cases: [args: string[], code: number, said: RegExp][] = [
      [['copy', from, from], 2, /FROM and TO are the same store/],
      [['copy', from, `${from.replace('/from', '/x/../from')}`], 2, /FROM and TO are the same store/],
      [['copy', from], 2, /copy needs the URLs of two stores/],
      [['copy', from, to, '--store', from], 2, /copy takes no --store/],
      [['copy', `${from}-missing`, to], 1, /There are no sessions in the directory/],
      [['copy', 'memory:', to], 2, /keeps sessions inside the application/],
      [['copy', 'memcached://127.0.0.1:1', to], 3, /cannot tell which sessions it holds/],
    ]
    for (const [args, code, said] of cases) {
      const ended = await command(args)
      assert.deepEqual([ended.code, ended.out], [code, ''], args.join(' '))
      assert.match(ended.err, said)
    }
    const down = await command(['copy', from, 'redis://ada:lovelace@127.0.0.1:1'])
    assert.deepEqual([down.code, down.out], [1, ''])
    assert.match(down.err, /redis:\/\/127\.0\.0\.1:1 failed\.[^]*ECONNREFUSED/)
    assert.doesNotMatch(down.err, /lovelace/)
    assert.match((await command(['copy', '--help'])).out, /copy FROM TO[^]*Stores\n/)
  })
})
