import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { Store } from '../../src/store.ts'
import { redisStore } from '../../src/stores/redis.ts'
import { rudeServer, sayAsMaster } from '../support/servers/rude-server.ts'
import { PATIENCE, collect, newKey, rejection } from '../support/stores/records.ts'
import { command } from '../support/processes/command.ts'

/** What asks the server for a list, and the command by which it does. */
const LISTS: Record<'scan' | 'zscan', (store: Store) => AsyncIterable<string>> = {
  scan: (store) => store.keys!(),
  zscan: (store) => store.subjects!.keys(newKey()),
}
type ListCommand = keyof typeof LISTS

/** A server that knows what to say until it is asked for a list: the reply of this cursor. */
function listing(test: TestContext, asked: ListCommand, replyTo: (turn: number) => string): Promise<number> {
  let turn = 0
  return rudeServer(test, (name) => (name === asked ? replyTo(turn++) : sayAsMaster(name)))
}

function openStore(test: TestContext, port: number): Store {
  const store = redisStore(`redis://127.0.0.1:${port}?protocol=2`, { deadline: PATIENCE })
  test.after(() => store.close?.())
  return store
}

function bulk(text: string | number): string {
  return `$${String(text).length}\r\n${text}\r\n`
}

function reply(cursor: number, ...names: string[]): string {
  return `*2\r\n${bulk(cursor)}*${names.length}\r\n${names.map(bulk).join('')}`
}

const MALFORMED: Record<string, string> = {
  'an empty list': '*0\r\n',
  nothing: '$-1\r\n',
  'no list': '+OK\r\n',
  'a number': ':0\r\n',
  'a cursor alone': `*1\r\n${bulk(0)}`,
  'a cursor that is a number': '*2\r\n:0\r\n*0\r\n',
  'a cursor that is nothing': '*2\r\n$-1\r\n*0\r\n',
  'a cursor that is a list': '*2\r\n*0\r\n*0\r\n',
  'names that are a number': `*2\r\n${bulk(0)}:0\r\n`,
  'names that are one text': `*2\r\n${bulk(0)}${bulk(newKey())}`,
  'names that are numbers': `*2\r\n${bulk(0)}*2\r\n:1\r\n:2\r\n`,
  'names that are lists': `*2\r\n${bulk(0)}*1\r\n*0\r\n`,
  'a third part': `*3\r\n${bulk(0)}*0\r\n*0\r\n`,
}

/** The cursor of each reply, by its number: the list has no end. */
const ENDLESS: Record<string, (turn: number) => number> = {
  'the same one again and again': () => 7,
  'two by turns': (turn) => 1 + (turn % 2),
  'a hundred in a circle': (turn) => 1 + (turn % 100),
  'a circle that begins late': (turn) => (turn < 50 ? 1000 + turn : 1 + (turn % 7)),
}

for (const asked of Object.keys(LISTS) as ListCommand[]) {
  const list = LISTS[asked]
  const names = asked === 'scan' ? [`session:${newKey()}`] : [newKey(), '1']

  describe(`a server that answers ${asked.toUpperCase()} in a form of its own`, () => {
    for (const [what, answer] of Object.entries(MALFORMED)) {
      it(`is not believed: ${what}`, async (test) => {
        const store = openStore(test, await listing(test, asked, () => answer))
        const { error } = await rejection(collect(list(store)))
        assert.equal((error as { code?: string }).code, 'ERR_SESSION_STORE_UNAVAILABLE')
        assert.match(error.message, new RegExp(`\\b${asked.toUpperCase()} with something else`))
      })
    }
  })

  describe(`a server that never ends what ${asked.toUpperCase()} lists`, () => {
    for (const [what, cursorOf] of Object.entries(ENDLESS)) {
      it(`is left after a while: ${what}`, async (test) => {
        let turns = 0
        const answer = (turn: number): string => {
          turns = turn
          return reply(cursorOf(turn), ...names)
        }
        const store = openStore(test, await listing(test, asked, answer))
        const { error } = await rejection(collect(list(store)))
        assert.equal((error as { code?: string }).code, 'ERR_SESSION_STORE_UNAVAILABLE')
        assert.match(error.message, new RegExp(`\\b${asked.toUpperCase()} with the same cursor again`))
        assert.ok(turns < 400, `${turns} times`)
      })
    }
  })

  describe(`a server that lists by ${asked.toUpperCase()} in many replies`, () => {
    it('is asked until it says that there is no more', async (test) => {
      const store = openStore(
        test,
        await listing(test, asked, (turn) => reply(turn === 999 ? 0 : 5000 - turn, ...names)),
      )
      assert.equal((await collect(list(store))).length, 1000)
    })
  })
}

describe('the command', () => {
  it('says so of a server whose list would never end', async (test) => {
    const port = await listing(test, 'scan', () => reply(7))
    for (const args of [['list'], ['stats'], ['revoke', '--subject', 'ada'], ['revoke', '--all', '--yes']]) {
      const { code, err } = await command([...args, '-s', `redis://127.0.0.1:${port}?protocol=2&deadline=${PATIENCE}`])
      assert.equal(code, 1)
      assert.match(err, /SCAN with the same cursor again/)
    }
  })
})
