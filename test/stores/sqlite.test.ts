import assert from 'node:assert/strict'
import { copyFileSync, existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import type { Store } from '../../src/store.ts'
import { networkOf } from '../../src/stores/sql/sqlite/file.ts'
import { sqliteStore, type SqliteStoreOptions } from '../../src/stores/sqlite.ts'
import { storeFromUrl } from '../../src/stores/url.ts'
import { command } from '../support/processes/command.ts'
import { openDatabase } from '../support/servers/sql-places.ts'
import { until } from '../support/servers/server-process.ts'
import { PATIENCE, later, newKey, rejection, rejectionBy, savedOf } from '../support/stores/records.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

function newFile(): string {
  return join(temporaryDirectory('sqlite'), 'sessions.db')
}

function open(test: TestContext, file: Parameters<typeof sqliteStore>[0], options: SqliteStoreOptions = {}): Store {
  const store = sqliteStore(file, { pruneInterval: 0, ...options })
  test.after(() => store.close?.())
  return store
}

async function failureOf(question: () => unknown): Promise<string> {
  return (await rejection((async () => question())())).error.message
}

describe('sqliteStore', () => {
  it('answers at once, without a promise', (test) => {
    const store = open(test, newFile())
    const key = newKey()
    const created = savedOf(store.save(key, '{}', later(), undefined) as never)
    assert.equal((store.load(key) as typeof created).version, created.version)
    assert.equal(store.isCurrent?.(key, created), true)
    assert.equal(store.delete(key), true)
    assert.equal(store.isCurrent?.(key, created), false)
  })

  it('makes no file before the first session', async (test) => {
    const file = newFile()
    const store = open(test, file)
    assert.equal(store.load(newKey()), undefined)
    await store.ping!()
    assert.equal(await store.prune!(), 0)
    assert.ok(!existsSync(file))
    const { code, err } = await command(['list', '--store', `sqlite://${file}`])
    assert.equal(code, 1)
    assert.match(err, /There is no file/)
    assert.ok(!existsSync(file))
  })

  it('waits for another program’s lock without holding up the process', async (test) => {
    const file = newFile()
    const store = open(test, file, { deadline: PATIENCE })
    const key = newKey()
    const created = savedOf(await store.save(key, '1', later(), undefined))
    const other = openDatabase(file)
    test.after(() => other.close())
    other.exec('begin immediate')
    let isSettled = false
    const saving = Promise.resolve(store.save(key, '2', later(), created)).finally(() => (isSettled = true))
    // The process goes on: it comes so far while the lock is held.
    for (let turn = 0; turn < 20; turn++) await nextTurn()
    assert.ok(!isSettled)
    assert.equal((await store.load(key))?.text, '1', 'readers do not wait')
    other.exec('commit')
    savedOf(await saving)
  })

  it('waits for another program’s lock until the deadline', async (test) => {
    const file = newFile()
    const store = open(test, file, { deadline: 300 })
    const key = newKey()
    const created = savedOf(await store.save(key, '1', later(), undefined))
    const other = openDatabase(file)
    test.after(() => other.close())
    other.exec('begin immediate')
    const { error } = await rejectionBy(300, store.save(key, '2', later(), created))
    assert.match(
      error.message,
      /another program holds the lock of the file for longer than the deadline \(SQLITE_BUSY\)/,
    )
    other.exec('commit')
    assert.equal((await store.load(key))?.text, '1')
  })

  it('gives the command more time for a lock than an application has', async (test) => {
    const file = newFile()
    assert.equal((await command(['migrate', '--store', `sqlite://${file}`])).code, 0)
    const other = openDatabase(file)
    test.after(() => other.close())
    other.exec(`insert into sessions (id, version, ends_at, data) values ('${newKey()}', 1, 1, '{}')`)
    for (const [work, said] of [
      ['migrate', /were made/],
      ['prune', /1 /],
    ] as const) {
      other.exec('begin immediate')
      const table = work === 'migrate' ? 'others' : 'sessions'
      const ending = command([work, '--store', `sqlite://${file}?deadline=1&table=${table}`])
      assert.equal(await Promise.race([ending, sleep(300)]), undefined, 'it waits')
      other.exec('commit')
      const { code, out, err } = await ending
      assert.equal(code, 0, err)
      assert.match(out, said)
    }
  })

  it('does not go on with a file that was replaced, or removed', async (test) => {
    const file = newFile()
    const store = open(test, file)
    const created = savedOf(await store.save(newKey(), '{}', later(), undefined))
    const backup = `${file}.backup`
    copyFileSync(file, backup)
    renameSync(backup, file)
    await until(async () => {
      try {
        await store.load(newKey())
        return false
      } catch (error) {
        assert.match((error as Error).message, /removed, or replaced by another one; restart the application/)
        return true
      }
    })
    assert.match(await failureOf(() => store.save(newKey(), '{}', later(), undefined)), /restart the application/)
    assert.throws(() => store.isCurrent?.(newKey(), created))
  })

  it('says what is wrong with the file', async (test) => {
    const file = newFile()
    writeFileSync(file, 'This is no database, and it is longer than a header of one would be. '.repeat(20))
    assert.match(
      await failureOf(() => open(test, file).load(newKey())),
      /is not a database of SQLite \(SQLITE_NOTADB\)/,
    )
    const nowhere = join(temporaryDirectory('sqlite'), 'missing', 'sessions.db')
    const missing = open(test, nowhere)
    assert.equal(missing.load(newKey()), undefined)
    assert.match(
      await failureOf(() => missing.save(newKey(), '{}', later(), undefined)),
      /cannot be opened|directory does not exist/,
    )
    const directory = temporaryDirectory('sqlite')
    mkdirSync(join(directory, 'sessions.db'))
    assert.match(await failureOf(() => open(test, join(directory, 'sessions.db')).load(newKey())), /cannot be opened/)
  })

  it('knows network file systems by their numbers', () => {
    assert.deepEqual([0x6969, 0xff534d42, 0xef53, 0x01021994].map(networkOf), ['NFS', 'CIFS', undefined, undefined])
  })

  it('works on a connection of the application, beside other tables, and leaves it open', async (test) => {
    const connection = openDatabase(newFile())
    test.after(() => connection.close())
    connection.exec('create table teas (name text)')
    const store = open(test, connection, { table: 'visits' })
    const key = newKey()
    savedOf(await store.save(key, '{}', later(), undefined))
    await store.close?.()
    connection.exec(`delete from visits where id = '${key}'`)
  })

  it('is named by a URL', async (test) => {
    const file = newFile()
    const store = storeFromUrl(`sqlite://${file}?durable=true&table=visits&deadline=500`)
    test.after(() => store.close?.())
    savedOf(await store.save(newKey(), '{}', later(), undefined))
    assert.equal(store.deadline, 500)
    for (const url of [
      'sqlite:a?durable=yes',
      'sqlite:a?tabel=x',
      'sqlite:a?table=x.y',
      'sqlite:~/a',
      'sqlite:a#b',
      'sqlite::memory:',
    ]) {
      assert.throws(() => storeFromUrl(url), { code: 'ERR_SESSION_OPTION' }, url)
    }
    assert.throws(() => sqliteStore({} as never), /give it the path of a file, or a connection/)
    assert.throws(() => sqliteStore(''), /must be the path of a file/)
  })
})
