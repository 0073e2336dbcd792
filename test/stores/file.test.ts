import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, it, test } from 'node:test'
import { storeConformance } from '../../src/tools/conformance.ts'
import { isSessionError } from '../../src/errors.ts'
import type { Found } from '../../src/store.ts'
import { fileStore, type FileStoreOptions } from '../../src/stores/file.ts'
import {
  HOUR,
  KEY,
  NONCE,
  asNobody,
  everythingIn,
  filesAt,
  filesOf,
  later,
  open,
  saved,
} from '../support/stores/file-sessions.ts'

for (const durable of [false, true]) {
  storeConformance(test, {
    name: `fileStore, durable ${durable}`,
    create: () => open({ durable, grace: HOUR }),
    peer: ({ directory }) => open({ directory, durable, grace: HOUR }),
    dispose: ({ directory }) => rmSync(directory, { recursive: true, force: true }),
  })
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
    it(`reports ${what}, and leaves it where it is until it is deleted`, async () => {
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
      assert.equal(store.delete(KEY), true)
      assert.equal(store.load(KEY), undefined)
      assert.equal(store.delete(KEY), false)
    })
  }

  unreadable('a session whose content is missing', ({ content }) => rmSync(content))
  unreadable('a session whose content is a directory', ({ content }) => {
    rmSync(content)
    mkdirSync(content)
  })
  unreadable('a session whose content is a pipe, which would be read for ever', ({ content }) => {
    rmSync(content)
    execFileSync('mkfifo', [content])
  })
  unreadable('a session whose content is a device', ({ content }) => {
    rmSync(content)
    symlinkSync('/dev/zero', content)
  })
  unreadable('a session whose content is longer than any text', ({ content }) => truncateSync(content, 5 * 2 ** 30))
  unreadable('a session whose pointer is missing', ({ pointer }) => rmSync(pointer))
  unreadable('a session with two pointers', ({ at }) => writeFileSync(join(at, `p.7.99.${NONCE}`), ''))
  unreadable('a session as an older release kept it', ({ at, pointer }) => renameSync(pointer, join(at, 'p.1.9f3a-0')))
  unreadable('a session whose pointer is of another program', ({ at, pointer }) =>
    renameSync(pointer, join(at, 'p.1.9999999999999.other')),
  )
  unreadable('a file in the place of a session', ({ at }) => {
    rmSync(at, { recursive: true })
    writeFileSync(at, 'something else')
  })

  it('reads no content that is larger than the caller allows', async () => {
    const store = open()
    await saved(store, '{"a":1}')
    assert.equal((await store.load(KEY, undefined, 7))?.text, '{"a":1}')
    assert.throws(() => store.load(KEY, undefined, 6), {
      code: 'ERR_SESSION_UNREADABLE',
      message: /7 bytes, and 6 are read at most/,
    })
    // It could not be read without an error of another kind.
    truncateSync(filesOf(store).content, 5 * 2 ** 30)
    assert.throws(() => store.load(KEY, undefined, 6), { code: 'ERR_SESSION_UNREADABLE' })
    assert.throws(() => store.load(KEY, undefined, Infinity), { code: 'ERR_SESSION_UNREADABLE' })
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
    })
    for (const path of [at, tmp]) chmodSync(path, 0o700)
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
