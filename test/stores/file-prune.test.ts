import assert from 'node:assert/strict'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { program } from '../support/processes/command.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { assertHides } from '../support/secrecy.ts'
import { until } from '../support/servers/server-process.ts'
import { collect } from '../support/stores/records.ts'
import {
  HOUR,
  KEY,
  NONCE,
  asNobodyUntil,
  everythingIn,
  filesOf,
  isRoot,
  later,
  open,
  saved,
  type Opened,
} from '../support/stores/file-sessions.ts'

const keyOf = (n: number): string => `${(n % 256).toString(16).padStart(2, '0')}${n.toString(16).padStart(62, '0')}`

/** A file, or with a slash at the end a directory, that nobody has touched for years. */
function old(...parts: string[]): string {
  const path = join(...parts)
  mkdirSync(dirname(path), { recursive: true })
  if (path.endsWith('/')) mkdirSync(path)
  else writeFileSync(path, 'precious')
  utimesSync(path, 1e9, 1e9)
  utimesSync(dirname(path), 1e9, 1e9)
  return path
}

describe('fileStore prune', () => {
  it('removes what a process that died has left, after the grace and not before', async () => {
    const cautious = open({ grace: HOUR })
    const hasty = open({ directory: cautious.directory })
    const found = await saved(cautious)
    const { at } = filesOf(cautious)
    const leftovers = [join(at, `c.${NONCE}`), ...['tmp', 'trash'].map((name) => join(cautious.directory, name, NONCE))]
    writeFileSync(leftovers[0]!, 'x')
    for (const directory of leftovers.slice(1)) {
      mkdirSync(directory)
      for (const name of [`c.${NONCE}`, `p.1.99.${NONCE}`, `dead.${NONCE}`]) writeFileSync(join(directory, name), '')
    }
    assert.equal(await cautious.prune!(), 0)
    for (const path of leftovers) assert.ok(existsSync(path), path)
    const past = (Date.now() - HOUR) / 1000
    for (const path of leftovers) utimesSync(path, past, past)
    assert.equal(await cautious.prune!(), 0)
    for (const path of leftovers) assert.ok(!existsSync(path), path)
    writeFileSync(leftovers[0]!, 'x')
    assert.equal(await hasty.prune!(), 0)
    assert.equal(filesOf(cautious).names.length, 2)
    assert.ok(cautious.isCurrent!(KEY, found))
  })

  it('leaves a session that somebody deletes just now, and takes it away after the grace', async () => {
    const store = open({ grace: HOUR })
    await saved(store)
    const { at, pointer } = filesOf(store)
    renameSync(pointer, join(at, `dead.${NONCE}`))
    assert.equal(await store.load(KEY), undefined)
    assert.equal(await store.touch(KEY, later()), false)
    assert.equal(await store.delete(KEY), false)
    assert.deepEqual(await collect(store.keys!()), [])
    assert.equal(await store.prune!(), 0)
    assert.ok(existsSync(at))
    const past = (Date.now() - HOUR) / 1000
    utimesSync(at, past, past)
    assert.equal(await store.prune!(), 0, 'it was deleted, and has not expired')
    assert.ok(!existsSync(at))
    await saved(store)
  })

  it('happens by itself', async () => {
    const store = open({ pruneInterval: 20 })
    await store.save(KEY, '{}', Date.now() - 1, undefined)
    await until(() => readdirSync(join(store.directory, '3f')).length === 0)
    await store.close!()
  })

  it('tells onError what went wrong, and the same trouble once until a prune goes well', async (test) => {
    test.mock.timers.enable({ apis: ['setTimeout'] })
    const directory = join(temporaryDirectory(), 'file')
    const told: string[] = []
    const store = open({ directory, pruneInterval: HOUR, onError: (error) => told.push((error as Error).message) })
    const hoursPass = async (hours: number): Promise<void> => {
      for (let hour = 0; hour < hours; hour++) {
        test.mock.timers.tick(2 * HOUR)
        // A prune that meets a file fails before it waits for anything.
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    writeFileSync(directory, '')
    await hoursPass(5)
    assert.equal(told.length, 1)
    assert.match(told[0]!, /file is no directory/)
    rmSync(directory)
    await store.prune!()
    writeFileSync(directory, '')
    await hoursPass(5)
    assert.equal(told.length, 2)
    await store.close!()
  })

  it('warns, if nobody else is told, of the directory and the reason', async () => {
    const directory = join(temporaryDirectory(), 'file')
    writeFileSync(directory, '')
    const warned = once(process, 'warning')
    const store = open({ directory, pruneInterval: 1 })
    // The store's own timer keeps no process alive.
    const alive = setTimeout(() => {}, 10_000)
    const [warning] = (await warned) as [Error & { code: string }]
    clearTimeout(alive)
    assert.equal(warning.code, 'SESSION_PRUNE_FAILED')
    assert.ok(warning.message.includes(`${directory} is no directory`), warning.message)
    await store.close!()
  })

  it('lets others have their turns between its removals', async () => {
    const store = open()
    const SESSIONS = 4_000
    for (let n = 0; n < SESSIONS; n++) {
      await store.save(keyOf(n), '{"views":1}', n % 4 ? later() : Date.now() - 1, undefined)
    }
    let turns = 0
    let isPruning = true
    const count = (): void => {
      turns++
      if (isPruning) setImmediate(count)
    }
    setImmediate(count)
    const removed = await store.prune!()
    isPruning = false
    assert.equal(removed, SESSIONS / 4)
    assert.ok(turns > removed, `${turns} turns of the event loop in ${removed} removals`)
    let left = 0
    for await (const _ of store.keys!()) left++
    assert.equal(left, SESSIONS - SESSIONS / 4)
  })

  it('lists some names at a time, so that others have their turns however many sessions there are', async (test) => {
    const store = open()
    await saved(store)
    const shard = dirname(filesOf(store).at)
    const sessions = 2000
    for (let n = 0; n < sessions; n++) mkdirSync(join(shard, `3f${n.toString(16).padStart(62, '0')}`))
    // Its own pauses are out of the way: a clock that stands still makes none due.
    test.mock.method(performance, 'now', () => 0)
    let turns = 0
    let isOver = false
    const count = (): void => {
      turns++
      if (!isOver) setImmediate(count)
    }
    count()
    await store.prune!()
    isOver = true
    assert.ok(turns >= sessions / 200, `${turns} turns`)
    assert.ok(await store.load(KEY))
  })

  it('stops when the store is closed', async () => {
    const store = open()
    for (let n = 0; n < 2_000; n++) await store.save(keyOf(n), '{}', Date.now() - 1, undefined)
    const pruning = store.prune!()
    await store.close!()
    assert.ok((await pruning) < 2_000)
  })
})

describe('fileStore prune, among what the store has not made,', () => {
  it('leaves the tmp, trash and subjects of a project that is also the root', async () => {
    const project = temporaryDirectory()
    const precious = [
      old(project, 'tmp', 'report.pdf'),
      old(project, 'tmp', 'uploads', 'photo.jpg'),
      old(project, 'tmp', NONCE, 'photo.jpg'),
      old(project, 'tmp', `${NONCE}x${'0'.repeat(20)}`, `c.${NONCE}`),
      old(project, 'trash', 'restore-me.txt'),
      old(project, 'trash', NONCE.replace('-', '_'), 'dead.letter'),
      old(project, 'subjects', 'maths', 'lesson.md'),
      old(project, '3f', 'notes.txt'),
      old(project, '3f', 'a'.repeat(64)),
      old(project, '3f', 'b'.repeat(64), 'p.1.1.mine'),
      old(project, '3f', `3f${'c'.repeat(62)}`, 'c.txt'),
      old(project, 'zz', `3f${'c'.repeat(62)}`, `p.1.1.${NONCE}`),
    ]
    const store = open({ directory: project })
    await saved(store)
    assert.equal(await store.prune!(), 0)
    for (const path of precious) assert.equal(readFileSync(path, 'utf8'), 'precious', path)
    assert.equal((await store.load(KEY))?.text, '{}')
  })

  it('removes its own files out of a directory, and leaves the others with it', async () => {
    const store = open()
    await saved(store)
    const mine = old(store.directory, 'trash', NONCE, 'mine.txt')
    const its = old(store.directory, 'trash', NONCE, `c.${NONCE}`)
    assert.equal(await store.prune!(), 0)
    assert.equal(readFileSync(mine, 'utf8'), 'precious')
    assert.ok(!existsSync(its))
  })

  it('follows no symbolic link', async () => {
    const store = open()
    await saved(store)
    const elsewhere = temporaryDirectory()
    const precious = [
      old(elsewhere, 'leftover', `c.${NONCE}`),
      old(elsewhere, 'session', `p.1.1.${NONCE}`),
      old(elsewhere, 'shard', KEY, `p.1.1.${NONCE}`),
    ]
    for (const [target, ...link] of [
      ['leftover', 'tmp', NONCE],
      ['leftover', 'trash', NONCE],
      ['session', '3f', `3f${'b'.repeat(62)}`],
      ['shard', '4f'],
    ] as const) {
      symlinkSync(join(elsewhere, target), join(store.directory, ...link))
    }
    assert.equal(await store.prune!(), 0)
    for (const path of precious) assert.equal(readFileSync(path, 'utf8'), 'precious', path)
    assert.deepEqual(await collect(store.keys!()), [KEY])
  })
})

describe('fileStore, where one of many sessions cannot be looked at,', () => {
  const SESSIONS = 12
  const BAD = keyOf(5)

  /** Expired sessions and live ones, of which one that should have been pruned may not be entered. */
  async function withBadOne(told?: string[]): Promise<Opened> {
    const store = open(told && { onError: (error) => told.push((error as Error).message) })
    for (let n = 0; n < SESSIONS; n++) await store.save(keyOf(n), '{}', n < 8 ? Date.now() - 1 : later(), undefined)
    chmodSync(join(store.directory, '05', BAD), 0)
    return store
  }

  function pathsOf(store: Opened): string[] {
    return [join(store.directory, '..'), store.directory, ...everythingIn(store.directory)]
  }

  it('prunes all others, tells of that one once, and names its directory but not its key', async () => {
    const told: string[] = []
    const store = await withBadOne(told)
    await asNobodyUntil(pathsOf(store), async () => {
      assert.equal(await store.prune!(), 7)
      assert.equal(await store.prune!(), 0)
      assert.equal((await collect(store.keys!())).length, 4)
      chmodSync(join(store.directory, '05', BAD), 0o700)
      assert.equal(await store.prune!(), 1)
    })
    assert.equal(told.length, 1)
    assert.match(told[0]!, /One directory was left out/)
    assert.ok(
      told[0]!.includes(`EACCES: permission denied, scandir in the directory of the sessions ${store.directory}/05`),
    )
    assertHides(told, BAD)
  })

  it('says of that one that it cannot be read, and of the shard around it that the store fails', async () => {
    const store = await withBadOne()
    const shard = join(store.directory, '05')
    await asNobodyUntil(pathsOf(store), async () => {
      assert.throws(() => store.load(BAD), { code: 'ERR_SESSION_UNREADABLE', message: /EACCES/ })
      chmodSync(shard, 0)
      assert.throws(() => store.load(BAD), { code: 'EACCES' })
      assert.equal(await store.prune!(), 7)
      chmodSync(shard, 0o700)
    })
    chmodSync(join(shard, BAD), 0o700)
  })

  it('still lets the command prune, list and count', async () => {
    const store = await withBadOne()
    if (isRoot) for (const path of pathsOf(store)) chownSync(path, 65534, 65534)
    for (const [name, ...expected] of [
      ['prune', /^7 expired sessions removed/],
      ['list', /^ID/, ...[8, 9, 10, 11].map((n) => new RegExp(keyOf(n)))],
      ['stats', /sessions +4\n/],
    ] as const) {
      const { code, out, err } = await program([name, '--store', `file:${store.directory}`], {
        ...(isRoot && { user: 65534 }),
      })
      assert.equal(code, 0, err)
      for (const text of expected) assert.match(out, text)
      assert.match(err, /One directory was left out.*EACCES.*\/05/s)
    }
    chmodSync(join(store.directory, '05', BAD), 0o700)
  })
})
