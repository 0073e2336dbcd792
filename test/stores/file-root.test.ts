import assert from 'node:assert/strict'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { isSessionError } from '../../src/errors.ts'
import type { Store } from '../../src/store.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { inNamespace } from '../support/processes/namespace.ts'
import { assertHides } from '../support/secrecy.ts'
import { KEY, asNobody, everythingIn, isRoot, later, open, saved } from '../support/stores/file-sessions.ts'

/** Every operation, each as the first one of its store. */
const FIRST_USES: Readonly<Record<string, (store: Store) => unknown>> = {
  load: (store) => store.load(KEY),
  save: (store) => store.save(KEY, '{}', later(), undefined),
  touch: (store) => store.touch(KEY, later()),
  delete: (store) => store.delete(KEY),
  prune: (store) => store.prune!(),
  keys: (store) => store.keys!()[Symbol.asyncIterator]().next(),
  'subjects.add': (store) => store.subjects!.add('b'.repeat(64), KEY, later()),
  'subjects.remove': (store) => store.subjects!.remove('b'.repeat(64), KEY),
  'subjects.keys': (store) => store.subjects!.keys('b'.repeat(64))[Symbol.asyncIterator]().next(),
}

async function failureOf(use: (store: Store) => unknown, store: Store): Promise<NodeJS.ErrnoException> {
  try {
    await use(store)
  } catch (error) {
    assert.ok(error instanceof Error)
    return error
  }
  throw new assert.AssertionError({ message: 'it should have been refused' })
}

/** Whatever is asked first, it is refused in words that match, and nothing comes or goes. */
async function isRefused(directory: string, sentence: RegExp): Promise<void> {
  const before = everythingIn(directory)
  for (const [name, use] of Object.entries(FIRST_USES)) {
    const error = await failureOf(use, open({ directory }))
    assert.ok(isSessionError(error, 'ERR_SESSION_OPTION'), `${name}: ${error.stack}`)
    assert.match(error.message, sentence, name)
    assert.ok(error.message.includes(directory), name)
  }
  assert.deepEqual(everythingIn(directory), before)
}

describe('fileStore, in a directory that others have a hand in,', () => {
  it('refuses one of another user, whatever it is asked first', async () => {
    // For anybody but root there are directories of root’s; root gives one away.
    if (!isRoot) return isRefused('/usr/share', /belongs to the user 0, and this process runs as the user \d+/)
    const directory = temporaryDirectory()
    chownSync(directory, 65534, 65534)
    await isRefused(directory, /belongs to the user 65534, and this process runs as the user 0/)
  })

  for (const mode of [0o777, 0o1777, 0o702]) {
    it(`refuses one of mode 0${mode.toString(8)}, which everybody may write to`, async () => {
      const directory = temporaryDirectory()
      chmodSync(directory, mode)
      await isRefused(directory, new RegExp(`every user of this machine \\(mode ${mode.toString(8)}\\)`))
    })
  }

  for (const inner of ['tmp', 'trash']) {
    it(`refuses one whose ${inner} everybody may write to, or leads elsewhere`, async () => {
      const directory = temporaryDirectory()
      mkdirSync(join(directory, inner))
      chmodSync(join(directory, inner), 0o777)
      await isRefused(directory, new RegExp(`/${inner} may be written by every user`))
      rmdirSync(join(directory, inner))
      symlinkSync(temporaryDirectory(), join(directory, inner))
      await isRefused(directory, new RegExp(`/${inner} is no directory`))
    })
  }

  it('refuses it also if it took the place of a trusted one', async () => {
    const store = open()
    await saved(store)
    renameSync(store.directory, `${store.directory}-before`)
    mkdirSync(store.directory)
    chmodSync(store.directory, 0o777)
    for (const use of [FIRST_USES['save']!, FIRST_USES['prune']!]) {
      assert.ok(isSessionError(await failureOf(use, store), 'ERR_SESSION_OPTION'))
    }
    assert.deepEqual(readdirSync(store.directory), [])
  })

  it('takes one that its group may write to, and one that a symbolic link leads to', async () => {
    const directory = temporaryDirectory()
    chmodSync(directory, 0o775)
    const link = join(temporaryDirectory(), 'sessions')
    symlinkSync(directory, link)
    for (const path of [directory, link]) {
      const store = open({ directory: path })
      const found = await saved(store)
      assert.ok(store.isCurrent!(KEY, found))
      assert.equal(await store.prune!(), 0)
      assert.equal(await store.delete(KEY), true)
    }
  })

  it('refuses a file', async () => {
    const directory = join(temporaryDirectory(), 'file')
    writeFileSync(directory, '')
    for (const use of Object.values(FIRST_USES)) {
      assert.match((await failureOf(use, open({ directory }))).message, /is no directory/)
    }
  })
})

describe('fileStore makes its directory', () => {
  it('with those above it, for nobody else, and hidden from repositories', async () => {
    const above = temporaryDirectory()
    const store = open({ directory: join(above, 'var', 'lib', 'sessions') })
    await saved(store)
    for (const name of ['var', 'var/lib', 'var/lib/sessions']) {
      assert.equal(statSync(join(above, name)).mode & 0o777, 0o700, name)
    }
    assert.ok(existsSync(join(store.directory, '.gitignore')))
  })

  it('but hides none that holds something else', async () => {
    const directory = temporaryDirectory()
    writeFileSync(join(directory, 'package.json'), '{}')
    await saved(open({ directory }))
    assert.equal(existsSync(join(directory, '.gitignore')), false)
  })
})

describe('fileStore, where the file system refuses,', () => {
  it('says which directory and why, and shows no key', async () => {
    const store = open()
    const found = await saved(store)
    for (const name of ['3f', 'tmp', 'trash']) chmodSync(join(store.directory, name), 0o500)
    asNobody([join(store.directory, '..'), store.directory, ...everythingIn(store.directory)], () => {
      for (const [part, step] of [
        ['tmp', () => store.save('b'.repeat(64), '{}', later(), undefined)],
        ['3f', () => store.delete(KEY, found)],
      ] as const) {
        assert.throws(step, (error: NodeJS.ErrnoException) => {
          assert.equal(error.code, 'EACCES')
          assert.equal(
            error.message.replace(/, \w+ in/, ', … in'),
            `EACCES: permission denied, … in the directory of the sessions ${store.directory}/${part}`,
          )
          assertHides(error, KEY, 'b'.repeat(64))
          return true
        })
      }
    })
    for (const name of ['3f', 'tmp', 'trash']) chmodSync(join(store.directory, name), 0o700)
  })

  it('to make the root at all, says that instead of trying for ever', async () => {
    for (const directory of ['/proc/sessions', '/proc/some/sessions']) {
      const error = await failureOf(FIRST_USES['save']!, open({ directory }))
      assert.equal(error.code, 'ENOENT')
      assert.match(error.message, /^ENOENT: no such file or directory, mkdir in the directory of the sessions \/proc\//)
      assert.equal(await open({ directory }).load(KEY), undefined)
    }
  })

  it('because it is read-only, says so, whether the root is there or not', async () => {
    const { codes } = await inNamespace<{ codes: Record<string, string> }>('read-only-files')
    assert.deepEqual(codes, {
      'save, no root': 'EROFS',
      'save, no directory above the root': 'EROFS',
      'save, an empty root': 'EROFS',
      'save, a root of sessions': 'EROFS',
      'update of a session that is there': 'EROFS',
      'delete of a session that is there': 'EROFS',
      'load of a session that is there': 'found',
      'load, no root': 'nothing',
      prune: '1 expired session left: EROFS',
    })
  })
})

describe('fileStore, whose directory came with a container’s image,', () => {
  it('ends and prunes sessions, though their directories cannot be moved', async () => {
    const answers = await inNamespace<Record<string, unknown>>('files-in-an-image')
    const ended = [true, true, false, false]
    const left = ['4', '5', 'b'].map((digit) => digit.repeat(64))
    assert.deepEqual(answers, {
      'a directory of the image is renamed': 'EXDEV',
      update: '"changed"',
      touch: true,
      'delete of an older version': 'object',
      'delete of this version': true,
      delete: true,
      'delete of two at once': [true, false],
      'what was deleted': [ended, ended, ended],
      'create and delete beside it': ['"new"', true],
      'create over an expired one': '"new"',
      prune: [1, 0],
      'contents left by what was deleted or pruned': [],
      'prune after the grace': 0,
      left,
      keys: left,
      'created anew': '"again"',
      told: [],
    })
  })
})
