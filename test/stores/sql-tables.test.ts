import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { isSessionError } from '../../src/errors.ts'
import type { Store, SubjectIndex } from '../../src/store.ts'
import { schemaOf } from '../../src/stores/sql/schema.ts'
import { isSqlStore } from '../../src/stores/sql/store.ts'
import { statementsFor } from '../../src/stores/sql/statements.ts'
import { command } from '../support/processes/command.ts'
import { SQL_PLACES, type SqlPlace } from '../support/servers/sql-places.ts'
import { collect, later, newKey, rejection, savedOf } from '../support/stores/records.ts'

const HOUR = 60 * 60_000

for (const [name, start] of Object.entries(SQL_PLACES)) {
  describe(`the tables on ${name}`, () => {
    let place: SqlPlace
    const stores: Store[] = []
    let tables = 0

    before(async () => {
      place = await start()
    })
    after(async () => {
      await Promise.all(stores.map(async (store) => store.close?.()))
      await place.close()
    })

    function newTable(): string {
      return `tables${tables++}`
    }

    function open(table: string): Store {
      const store = place.open(table)
      stores.push(store)
      return store
    }

    async function count(table: string): Promise<number> {
      const [row] = await place.sql(`select count(*) as n from ${table}`)
      return Number(row?.['n'])
    }

    it('are made by the first session, and not by looking for one', async () => {
      const table = newTable()
      const store = open(table)
      const key = newKey()
      assert.equal(await store.load(key), undefined)
      assert.equal(await store.touch(key, later()), false)
      assert.equal(await store.delete(key), false)
      assert.deepEqual(await store.save(key, '{}', later(), { text: '{}', version: 1, expiresAt: later() }), {
        gone: true,
      })
      assert.equal(await store.prune?.(), 0)
      assert.deepEqual(await collect(store.keys!()), [])
      assert.deepEqual(await collect(store.subjects!.keys(key)), [])
      await store.subjects!.remove(key, key)
      await rejection((async () => count(table))())
      savedOf(await store.save(key, '{"a":"日本😀"}', later(), undefined))
      const [row] = await place.sql(`select id, data from ${table}`)
      assert.equal(row?.['id'], key)
      assert.equal(String(row['data']), '{"a":"日本😀"}')
    })

    it('are let go of once by a store that is closed twice, as when two signals end a process', async () => {
      const store = place.open(newTable())
      savedOf(await store.save(newKey(), '{}', later(), undefined))
      await Promise.all([store.close!(), store.close!()])
      await store.close!()
    })

    it('are made once by eight processes that start at once', async () => {
      const table = newTable()
      const answers = await Promise.all(
        Array.from({ length: 8 }, async () => open(table).save(newKey(), '{}', later(), undefined)),
      )
      for (const answer of answers) savedOf(answer)
      assert.equal(await count(table), 8)
      assert.equal(await count(`${table}_schema`), 1)
    })

    it('are made again by the next session if somebody has dropped them', async () => {
      const table = newTable()
      const store = open(table)
      savedOf(await store.save(newKey(), '{}', later(), undefined))
      for (const part of ['', '_subjects', '_schema']) await place.sql(`drop table ${table}${part}`)
      const { error } = await rejection((async () => store.save(newKey(), '{}', later(), undefined))())
      assert.match(error.message, /table/)
      savedOf(await store.save(newKey(), '{}', later(), undefined))
    })

    it('of another release are refused, with what to do', async () => {
      const table = newTable()
      savedOf(await open(table).save(newKey(), '{}', later(), undefined))
      await place.sql(`update ${table}_schema set version = 7`)
      const newer = await rejection((async () => open(table).load(newKey()))())
      assert.match(newer.error.message, /version 7, and this release uses version 1: a newer release .* update/)
      await place.sql(`update ${table}_schema set version = 0`)
      const older = await rejection((async () => open(table).load(newKey()))())
      assert.match(older.error.message, /version 0, .* run: koa-server-session migrate/)
    })

    for (const part of ['', '_subjects', '_schema']) {
      it(`of another program are refused whatever is asked, and left as they are: *${part}`, async () => {
        const table = newTable()
        await place.sql(`create table ${table}${part} (sid varchar(99) primary key, sess varchar(99))`)
        const store = open(table)
        const key = newKey()
        const asked: Record<string, () => unknown> = {
          load: () => store.load(key),
          create: () => store.save(key, '{}', later(), undefined),
          save: () => store.save(key, '{}', later(), { text: '{}', version: 1, expiresAt: later() }),
          touch: () => store.touch(key, later()),
          delete: () => store.delete(key),
          keys: () => collect(store.keys!()),
          note: () => store.subjects!.add(key, key, later()),
          unnote: () => store.subjects!.remove(key, key),
          noted: () => collect(store.subjects!.keys(key)),
          prune: () => store.prune!(),
          ping: () => store.ping!(),
        }
        for (const [name, ask] of Object.entries(asked)) {
          const { error } = await rejection((async () => ask())())
          assert.ok(isSessionError(error, 'ERR_SESSION_STORE_UNAVAILABLE'), name)
          assert.match(error.message, /is not one of ours.*option table/, name)
        }
        assert.equal(await count(`${table}${part}`), 0)
      })
    }

    it('are completed if a process died before it had made them all', async () => {
      const table = newTable()
      const store = open(table)
      assert.ok(isSqlStore(store))
      await place.sql(store.schema[0] as string)
      const key = newKey()
      assert.equal(await store.load(key), undefined)
      savedOf(await store.save(key, '{}', later(), undefined))
    })

    it('give a key that is made again no version of its first life', async () => {
      const store = open(newTable())
      const key = newKey()
      const versions = new Set<number>()
      for (let life = 0; life < 20; life++) {
        const created = savedOf(await store.save(key, '{}', later(), undefined))
        const updated = savedOf(await store.save(key, '{"a":1}', later(), created))
        versions.add(created.version).add(updated.version)
        assert.equal(await store.delete(key), true)
      }
      assert.equal(versions.size, 40)
    })

    it('answer a load with what the caller knows, if only the end has moved', async () => {
      const store = open(newTable())
      const key = newKey()
      const known = savedOf(await store.save(key, '{"a":1}', later(), undefined))
      known.parsed = { a: 1 }
      if (!store.isCurrent) assert.equal(await store.load(key, known), known)
      const expiresAt = later(2 * HOUR)
      assert.equal(await store.touch(key, expiresAt), true)
      const found = await store.load(key, known)
      assert.deepEqual({ ...found, parsed: undefined }, { ...known, expiresAt, parsed: undefined })
    })

    it('lose the notes of sessions that are away for an hour, and no others', async () => {
      const table = newTable()
      const store = open(table)
      const index = store.subjects as SubjectIndex
      const [subject, living, ended, recent, lasting] = Array.from({ length: 5 }, newKey) as [
        string,
        string,
        string,
        string,
        string,
      ]
      const over = Date.now() - HOUR
      for (const key of [living, ended, recent]) await index.add(subject, key, over)
      await index.add(subject, lasting, later())
      savedOf(await store.save(living, '{}', later(), undefined))
      const long = Date.now() - 2 * HOUR
      await place.sql(`update ${table}_subjects set noted_at = ${long} where id <> '${recent}'`)
      await store.prune?.()
      assert.deepEqual((await collect(index.keys(subject))).toSorted(), [living, recent, lasting].toSorted())
      // Noted again, as every use of the session does now and then.
      await place.sql(`update ${table}_subjects set noted_at = ${long}`)
      await index.add(subject, recent, over)
      await store.prune?.()
      assert.deepEqual((await collect(index.keys(subject))).toSorted(), [living, recent, lasting].toSorted())
    })

    it('list more sessions than a page, and prune more than a statement takes', async () => {
      const table = newTable()
      const store = open(table)
      savedOf(await store.save(newKey(), '{}', later(), undefined))
      const row = (end: number): string => `('${newKey()}', 1, ${end}, '{}')`
      for (const end of [later(), 1]) {
        const rows = Array.from({ length: 1200 }, () => row(end)).join(', ')
        await place.sql(`insert into ${table} (id, version, ends_at, data) values ${rows}`)
      }
      const keys = await collect(store.keys!())
      assert.equal(new Set(keys).size, 1201)
      assert.equal(await store.prune?.(), 1200)
      assert.equal(await count(table), 1201)
    })

    it('are let go of once what is being pruned has come to an end, and not taken up again', async () => {
      const table = newTable()
      const store = place.open(table)
      savedOf(await store.save(newKey(), '{}', later(), undefined))
      const rows = Array.from({ length: 1200 }, () => `('${newKey()}', 1, 1, '{}')`).join(', ')
      await place.sql(`insert into ${table} (id, version, ends_at, data) values ${rows}`)
      const pruning = store.prune!()
      await new Promise(setImmediate)
      await store.close!()
      assert.equal(await count(table), 1201 - (await pruning))
      await rejection((async () => store.load(newKey()))())
    })

    it('are made and shown by the command migrate, which is harmless to run again', async () => {
      const table = newTable()
      const url = `${place.url}?table=${table}`
      const printed = await command(['migrate', '--print', '--store', url])
      assert.deepEqual([printed.code, saidByUs(printed.err)], [0, ''])
      const made = await command(['migrate', '--store', url])
      assert.deepEqual([made.code, saidByUs(made.err)], [0, ''])
      assert.match(made.out, /^The tables were made in /)
      const again = await command(['migrate', '--store', url])
      assert.match(again.out, /are up to date\.$/m)
      for (const text of printed.out.split(';\n').filter(Boolean)) await place.sql(text)
      savedOf(await open(table).save(newKey(), '{}', later(), undefined))
    })
  })
}

/** Without the word of Node 22 that its SQLite is an experiment. */
function saidByUs(err: string): string {
  return err.replace(/^.*ExperimentalWarning: SQLite .*\n/m, '')
}

describe('the statements', () => {
  it('ask no server for the time, so that a clock of its own changes nothing', () => {
    for (const dialect of ['postgres', 'mysql', 'sqlite'] as const) {
      const texts = [...Object.values(statementsFor(dialect, 'sessions')), ...schemaOf(dialect, 'sessions')]
      assert.doesNotMatch(texts.join('\n'), /now\s*\(|current_|clock|timestamp|sysdate|epoch|date\s*\(|strftime/i)
    }
  })
})

describe('the command migrate', () => {
  it('says that a store without tables has none', async () => {
    const { code, err } = await command(['migrate', '--store', 'redis://127.0.0.1:1'])
    assert.equal(code, 3)
    assert.match(err, /has no tables; there is nothing to make/)
  })
})
