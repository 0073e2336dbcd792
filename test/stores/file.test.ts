import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  renameSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, it, test } from 'node:test'
import { storeConformance } from '../../src/conformance.ts'
import { isSessionError } from '../../src/errors.ts'
import type { Found, Store } from '../../src/store.ts'
import { fileStore, type FileStoreOptions } from '../../src/stores/file.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const KEY = `3f${'a'.repeat(62)}`
const HOUR = 60 * 60_000

interface Opened extends Store {
  readonly directory: string
}

function open(options: Partial<FileStoreOptions> = {}): Opened {
  const directory = options.directory ?? join(temporaryDirectory(), 'sessions')
  return { ...fileStore({ grace: 0, pruneInterval: 0, ...options, directory }), directory }
}

for (const durable of [false, true]) {
  storeConformance(test, {
    name: `fileStore, durable ${durable}`,
    create: () => open({ durable }),
    peer: ({ directory }) => open({ directory, durable }),
    dispose: ({ directory }) => rmSync(directory, { recursive: true, force: true }),
  })
}

function later(): number {
  return Date.now() + HOUR
}

async function saved(store: Store, text = '{}', expected?: Found, key = KEY): Promise<Found> {
  const answer = await store.save(key, text, later(), expected)
  assert.ok(answer.saved)
  return answer.saved
}

function filesAt(store: Opened): string {
  return join(store.directory, '3f', KEY)
}

/** Where the session lies, and the names of its files. */
function filesOf(store: Opened): { at: string; names: string[]; pointer: string; content: string } {
  const at = filesAt(store)
  const names = readdirSync(at).sort()
  return {
    at,
    names,
    pointer: join(at, names.find((name) => name.startsWith('p.')) ?? ''),
    content: join(at, names.find((name) => name.startsWith('c.')) ?? ''),
  }
}

function everythingIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).map((name) => join(directory, name))
}

describe('fileStore', () => {
  it('makes nothing until the first save, and reads a missing directory as empty', async () => {
    const store = open()
    assert.equal(await store.load(KEY), undefined)
    assert.equal(await store.touch(KEY, later()), false)
    assert.equal(await store.delete(KEY), false)
    assert.equal(await store.prune!(), 0)
    for await (const key of store.keys!()) assert.fail(key)
    assert.equal(existsSync(store.directory), false)
    await saved(store)
    assert.deepEqual(readdirSync(store.directory).sort(), ['.gitignore', '3f', 'tmp', 'trash'])
  })

  it('keeps out of repositories', async () => {
    const store = open()
    await saved(store)
    assert.equal(readFileSync(join(store.directory, '.gitignore'), 'utf8'), '*\n')
  })

  it('answers at once, not by promises', () => {
    const store = open()
    assert.ok('saved' in store.save(KEY, '1', later(), undefined))
    assert.ok('text' in (store.load(KEY) as object))
    assert.equal(store.touch(KEY, later()), true)
    assert.equal(store.delete(KEY), true)
  })

  for (const umask of [0o000, 0o022, 0o077]) {
    it(`shows its files to nobody else, whatever the umask (0${umask.toString(8)})`, async () => {
      const before = process.umask(umask)
      try {
        const store = open()
        await saved(store, '2', await saved(store))
        for (const path of [store.directory, ...everythingIn(store.directory)]) {
          const stat = statSync(path)
          assert.equal(stat.mode & 0o777, stat.isDirectory() ? 0o700 : 0o600, path)
        }
      } finally {
        process.umask(before)
      }
    })
  }

  it('is one pointer and one content per session, whatever was written', async () => {
    const store = open()
    let found = await saved(store)
    for (let n = 0; n < 20; n++) found = await saved(store, `${n}`, found)
    await store.touch(KEY, later())
    await store.save(KEY, 'too late', later(), { ...found, version: 3 })
    await store.save(KEY, 'there is one', later(), undefined)
    const { names, content } = filesOf(store)
    assert.equal(names.length, 2)
    assert.equal(readFileSync(content, 'utf8'), '19')
    await store.delete(KEY)
    for (const name of ['3f', 'tmp', 'trash']) assert.deepEqual(readdirSync(join(store.directory, name)), [])
  })

  it('saves by the version where a Found has lost its own fields', async () => {
    const store = open()
    const { text, version, expiresAt } = await saved(store, '1')
    const bare = { text, version, expiresAt }
    assert.equal(store.isCurrent!(KEY, bare), false)
    const second = await saved(store, '2', bare)
    const { conflict } = await store.save(KEY, '3', later(), bare)
    assert.equal(conflict?.version, second.version)
    await store.delete(KEY)
    assert.deepEqual(await store.save(KEY, '3', later(), second), { gone: true })
  })

  it('does not take a record made anew under a deleted key for the old one', async () => {
    const store = open()
    const old = await saved(store, 'old')
    await store.delete(KEY)
    const other = await saved(store, 'new')
    assert.equal(old.version, other.version)
    assert.equal(store.isCurrent!(KEY, old), false)
    assert.equal((await store.save(KEY, 'x', later(), old)).conflict?.text, 'new')
  })

  it('is current until the very expiry, and whoever knows of a later one goes by that', async () => {
    const store = open()
    const other = open({ directory: store.directory })
    const found = await saved(store)
    const expiresAt = found.expiresAt + HOUR
    await other.touch(KEY, expiresAt)
    assert.equal(store.isCurrent!(KEY, found), false)
    assert.equal(store.isCurrent!(KEY, { ...found, expiresAt }), true)
    const ended = await saved(store, '1', found)
    await store.save(KEY, '2', Date.now() - 1, ended)
    assert.equal(store.isCurrent!(KEY, { ...ended, expiresAt: Date.now() - 1 }), false)
  })

  it('says in the name of its pointer when it ends, so that a file system need know no such date', async () => {
    const store = open()
    const end = Date.UTC(2120, 0, 1, 0, 0, 0, 7)
    await store.save(KEY, '{}', end, undefined)
    assert.match(filesOf(store).pointer, new RegExp(`/p\\.1\\.${end}\\.[0-9a-z-]+$`))
    await store.touch(KEY, Date.UTC(2500, 0, 1))
    assert.equal((await store.load(KEY))?.expiresAt, 9_999_999_999_999, 'later than that is never')
  })

  it('saves what was loaded, also when another process has moved the end since', async () => {
    const store = open()
    const found = await saved(store)
    await open({ directory: store.directory }).touch(KEY, found.expiresAt + HOUR)
    const second = await saved(store, '2', found)
    assert.equal(second.version, found.version + 1)
    assert.equal(filesOf(store).names.length, 2)
  })

  it('keeps any expiry to the millisecond', async () => {
    const store = open()
    await saved(store)
    let expiresAt = later()
    for (let n = 0; n < 2_000; n++) {
      expiresAt += 1 + Math.floor(Math.random() * 400 * HOUR)
      assert.equal(await store.touch(KEY, expiresAt), true)
      assert.equal((await store.load(KEY))?.expiresAt, expiresAt)
    }
  })

  it('refuses a key that is not 64 hexadecimal digits, without repeating it', () => {
    const store = open()
    for (const key of ['', '../../etc/passwd', 'A'.repeat(64), 'a'.repeat(63), 'a'.repeat(65), `${'a'.repeat(64)}\n`]) {
      const refused = (error: unknown): boolean =>
        isSessionError(error, 'ERR_SESSION_OPTION') && (key === '' || !error.message.includes(key))
      assert.throws(() => store.load(key), refused)
      assert.throws(() => store.save(key, '', later(), undefined), refused)
      assert.throws(() => store.touch(key, later()), refused)
      assert.throws(() => store.delete(key), refused)
    }
    assert.equal(existsSync(store.directory), false)
  })

  it('refuses options that it does not have or cannot use', () => {
    const wrong: object[] = [{}, { directory: '' }, { directory: 'x', grace: -1 }, { directory: 'x', ttl: 1 }]
    for (const options of [...wrong, { directory: 'x', pruneInterval: -1 }]) {
      assert.throws(
        () => fileStore(options as FileStoreOptions),
        (error) => isSessionError(error, 'ERR_SESSION_OPTION'),
      )
    }
  })
})

describe('fileStore, on a directory that is not as it should be', () => {
  /** A session that `harm` was done to: whatever reads it says so, and nothing is removed. */
  function unreadable(what: string, harm: (files: ReturnType<typeof filesOf>) => void): void {
    it(`reports ${what}, and leaves it where it is`, async () => {
      const store = open()
      await saved(store)
      harm(filesOf(store))
      const before = everythingIn(store.directory).sort()
      assert.throws(
        () => store.load(KEY),
        (error) => isSessionError(error, 'ERR_SESSION_UNREADABLE'),
      )
      assert.throws(
        () => store.save(KEY, '{}', later(), undefined),
        (error) => isSessionError(error, 'ERR_SESSION_UNREADABLE'),
      )
      assert.equal(await store.prune!(), 0)
      assert.deepEqual(everythingIn(store.directory).sort(), before)
    })
  }

  unreadable('a session whose content is missing', ({ content }) => rmSync(content))
  unreadable('a session whose content is a directory', ({ content }) => {
    rmSync(content)
    mkdirSync(content)
  })
  unreadable('a session whose pointer is missing', ({ pointer }) => rmSync(pointer))
  unreadable('a session with two pointers', ({ at }) => writeFileSync(join(at, 'p.7.99.other'), ''))
  unreadable('a session as an older release kept it', ({ at, pointer }) => renameSync(pointer, join(at, 'p.1.9f3a-0')))
  unreadable('a file in the place of a session', ({ at }) => {
    rmSync(at, { recursive: true })
    writeFileSync(at, 'something else')
  })

  it('hands on a content that was cut or emptied: what a text means is not for the store to say', async () => {
    const store = open()
    await saved(store, '{"a":1}')
    truncateSync(filesOf(store).content, 3)
    assert.equal((await store.load(KEY))?.text, '{"a')
    truncateSync(filesOf(store).content, 0)
    assert.equal((await store.load(KEY))?.text, '')
  })

  it('is not misled by files that are none of its own', async () => {
    const store = open()
    await saved(store)
    writeFileSync(join(filesOf(store).at, '.DS_Store'), 'x')
    writeFileSync(join(filesOf(store).at, 'p.not-a-pointer'), 'x')
    writeFileSync(join(store.directory, 'README'), 'x')
    mkdirSync(join(store.directory, '3f', 'not-a-key'))
    assert.equal((await store.load(KEY))?.text, '{}')
    assert.equal(await store.prune!(), 0)
    assert.ok(existsSync(join(store.directory, 'README')))
    assert.ok(existsSync(join(filesOf(store).at, '.DS_Store')))
  })

  it('makes again what was removed under it', async () => {
    const store = open()
    await saved(store)
    rmSync(store.directory, { recursive: true })
    assert.equal(await store.load(KEY), undefined)
    await saved(store)
    rmSync(join(store.directory, 'trash'), { recursive: true })
    assert.equal(await store.delete(KEY), true)
    assert.equal(await store.load(KEY), undefined)
  })

  it('passes on what the file system says of a path that is no directory', async () => {
    const directory = join(temporaryDirectory(), 'file')
    writeFileSync(directory, '')
    const store = open({ directory })
    assert.throws(() => store.load(KEY), { code: 'ENOTDIR' })
    assert.throws(() => store.save(KEY, '{}', later(), undefined), { code: 'ENOTDIR' })
    await assert.rejects(store.prune!(), { code: 'ENOTDIR' })
  })

  it('passes on that it may not write', async () => {
    const store = open()
    const found = await saved(store)
    const { at } = filesOf(store)
    const tmp = join(store.directory, 'tmp')
    for (const path of [at, tmp]) chmodSync(path, 0o500)
    asNobody([join(store.directory, '..'), store.directory, ...everythingIn(store.directory)], () => {
      assert.equal((store.load(KEY) as Found).text, '{}')
      assert.throws(() => store.save(KEY, '2', later(), found), { code: 'EACCES' })
      assert.throws(() => store.save('b'.repeat(64), '2', later(), undefined), { code: 'EACCES' })
      assert.equal((store.load(KEY) as Found).text, '{}')
      chmodSync(at, 0o000)
      assert.throws(() => store.load(KEY), { code: 'EACCES' })
      chmodSync(at, 0o700)
    })
    chmodSync(tmp, 0o700)
  })

  it('does not vouch for what it may not look at', async () => {
    const store = open()
    const found = await saved(store)
    chmodSync(filesAt(store), 0o000)
    // In a process of its own, because its user is another one for good: the real user is who counts here.
    const script = `
      import { chownSync } from 'node:fs'
      import { fileStore } from '${new URL('../../src/stores/file.js', import.meta.url).href}'
      const { directory, paths, key, found } = JSON.parse(process.argv[1])
      const store = fileStore({ directory, pruneInterval: 0 })
      if (process.getuid() === 0) {
        for (const path of paths) chownSync(path, 65534, 65534)
        process.setgroups([])
        process.setgid(65534)
        process.setuid(65534)
      }
      console.log(store.isCurrent(key, found))`
    const paths = [join(store.directory, '..'), store.directory, join(store.directory, '3f'), filesAt(store)]
    const given = JSON.stringify({ directory: store.directory, paths, key: KEY, found })
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script, given], {
      encoding: 'utf8',
    })
    assert.equal(stdout, 'false\n', stderr)
    chmodSync(filesAt(store), 0o700)
    assert.equal(store.isCurrent!(KEY, found), true)
  })

  it('does not vouch for what it cannot look at: the load that follows says why', async () => {
    const store = open()
    const found = await saved(store)
    assert.equal(store.isCurrent!(KEY, found), true)
    const { at } = filesOf(store)
    rmSync(at, { recursive: true })
    writeFileSync(at, 'not a directory')
    assert.equal(store.isCurrent!(KEY, found), false)
    assert.throws(() => store.load(KEY), { code: 'ERR_SESSION_UNREADABLE' })
  })
})

/** Root may write everywhere; so, if we are root, for a moment we are the owner of these paths and not root. */
function asNobody(paths: string[], check: () => void): void {
  if (process.geteuid!() !== 0) return check()
  for (const path of paths) chownSync(path, 65534, 65534)
  process.seteuid!(65534)
  try {
    check()
  } finally {
    process.seteuid!(0)
  }
}

describe('fileStore prune', () => {
  const keyOf = (n: number): string => `${(n % 256).toString(16).padStart(2, '0')}${n.toString(16).padStart(62, '0')}`

  it('removes what a process that died has left, after the grace and not before', async () => {
    const cautious = open({ grace: HOUR })
    const hasty = open({ directory: cautious.directory })
    const found = await saved(cautious)
    const { at } = filesOf(cautious)
    const leftovers = [join(at, 'c.dead'), join(cautious.directory, 'tmp/dead'), join(cautious.directory, 'trash/dead')]
    writeFileSync(leftovers[0]!, 'x')
    for (const directory of leftovers.slice(1)) {
      mkdirSync(join(directory, 'c.dead'), { recursive: true })
      writeFileSync(join(directory, 'p.1.dead'), '')
    }
    assert.equal(await cautious.prune!(), 0)
    for (const path of leftovers) assert.ok(existsSync(path), path)
    const old = (Date.now() - HOUR) / 1000
    for (const path of leftovers) utimesSync(path, old, old)
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
    renameSync(pointer, join(at, 'dead.1-0'))
    assert.equal(await store.load(KEY), undefined)
    assert.equal(await store.touch(KEY, later()), false)
    assert.equal(await store.delete(KEY), false)
    for await (const key of store.keys!()) assert.fail(key)
    assert.equal(await store.prune!(), 0)
    assert.ok(existsSync(at))
    const old = (Date.now() - HOUR) / 1000
    utimesSync(at, old, old)
    assert.equal(await store.prune!(), 0, 'it was deleted, and has not expired')
    assert.ok(!existsSync(at))
    await saved(store)
  })

  it('happens by itself, and reports to onError what went wrong', async () => {
    const store = open({ pruneInterval: 20 })
    await store.save(KEY, '{}', Date.now() - 1, undefined)
    const deadline = Date.now() + 10_000
    while (readdirSync(join(store.directory, '3f')).length > 0 && Date.now() < deadline) await soon()
    assert.deepEqual(readdirSync(join(store.directory, '3f')), [])
    await store.close!()

    const directory = join(temporaryDirectory(), 'file')
    writeFileSync(directory, '')
    // The store's own timer keeps no process alive, not even for this.
    const alive = setTimeout(() => {}, 10_000)
    const error = await new Promise((resolve) => open({ directory, pruneInterval: 1, onError: resolve }))
    clearTimeout(alive)
    assert.equal((error as NodeJS.ErrnoException).code, 'ENOTDIR')
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

  it('stops when the store is closed', async () => {
    const store = open()
    for (let n = 0; n < 2_000; n++) await store.save(keyOf(n), '{}', Date.now() - 1, undefined)
    const pruning = store.prune!()
    await store.close!()
    assert.ok((await pruning) < 2_000)
  })
})

function soon(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5))
}
