import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { SessionError } from '../../src/errors.ts'
import type { Store } from '../../src/store.ts'
import { directoryOfUrl, storeFromUrl } from '../../src/stores/url.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const KEY = 'a'.repeat(64)

async function saveIn(store: Store): Promise<void> {
  assert.ok((await store.save(KEY, '{}', Date.now() + 60_000, undefined)).saved)
  await store.close?.()
}

/** Runs `fn` where relative paths are relative to `directory`. */
async function inDirectory(directory: string, fn: () => Promise<void>): Promise<void> {
  const before = process.cwd()
  process.chdir(directory)
  try {
    await fn()
  } finally {
    process.chdir(before)
  }
}

describe('storeFromUrl', () => {
  it('opens files in a directory that is relative or absolute, and percent-encoded where it must be', async () => {
    const directory = temporaryDirectory()
    await inDirectory(directory, async () => {
      await saveIn(storeFromUrl('file:./one'))
      await saveIn(storeFromUrl('file:.two'))
      await saveIn(storeFromUrl('FILE:three/deep?durable=true'))
      await saveIn(storeFromUrl('file:fo%20ur?durable=false'))
      await saveIn(storeFromUrl(`file://${directory}/five`))
      await saveIn(storeFromUrl(`file:${directory}/si%23x`))
    })
    for (const name of ['one', '.two', 'three/deep', 'fo ur', 'five', 'si#x']) {
      assert.ok(existsSync(join(directory, name, 'aa', KEY)), name)
    }
  })

  it('stays in the directory it was opened in when the process moves on', async () => {
    const directory = temporaryDirectory()
    let store: Store | undefined
    await inDirectory(directory, async () => void (store = storeFromUrl('file:here')))
    await saveIn(store!)
    assert.deepEqual(readdirSync(directory), ['here'])
  })

  it('takes a bare word for the store of that name at its usual place', async () => {
    const directory = temporaryDirectory()
    await inDirectory(directory, async () => {
      for (const word of ['file', 'file:', 'memory', 'memory:', 'null', 'null:']) await storeFromUrl(word).close?.()
      await saveIn(storeFromUrl('file'))
    })
    assert.deepEqual(readdirSync(directory), ['.sessions'])
    const memory = storeFromUrl('memory')
    await memory.save(KEY, '{}', Date.now() + 60_000, undefined)
    assert.ok(await memory.load(KEY))
    await memory.close!()
    const none = storeFromUrl('null')
    await none.save(KEY, '{}', Date.now() + 60_000, undefined)
    assert.equal(await none.load(KEY), undefined)
  })

  it('says which scheme it does not know and which it does, and nothing of the rest', () => {
    assert.throws(
      () => storeFromUrl('mongodb://admin:hunter2@db.example/0'),
      (error: unknown) => {
        assert.ok(error instanceof SessionError)
        assert.equal(error.code, 'ERR_SESSION_OPTION')
        assert.match(error.message, /"mongodb:"/)
        for (const scheme of ['file:', 'memory:', 'null:']) assert.ok(error.message.includes(scheme), scheme)
        return true
      },
    )
  })

  it('refuses what it does not understand, without repeating it', () => {
    const secret = 'hunter2'
    const urls = [
      secret,
      '',
      ':',
      '//hunter2',
      './hunter2',
      `${secret}${'x'.repeat(40)}:`,
      'file:./hunter2?durible=true',
      'file:./hunter2?durable=yes',
      'file:./hunter2?durable',
      'file:./hunter2?durable=true&durable=true',
      'file:./hunter2?',
      'file:./hunter2#part',
      'file:./hunter2?durable=true?',
      'file://hunter2/dir',
      'file:%hunter2',
      'file:hunter2%00',
      'memory:hunter2',
      'memory:?size=hunter2',
      'null://hunter2',
      'unknown:hunter2',
    ]
    for (const url of [...urls, undefined, null, 5] as string[]) {
      assert.throws(
        () => storeFromUrl(url),
        (error: unknown) => {
          assert.ok(error instanceof SessionError, String(url))
          assert.equal(error.code, 'ERR_SESSION_OPTION')
          assert.ok(!`${error.stack} ${String(error.cause)}`.includes(secret), url)
          return true
        },
      )
    }
  })
})

describe('directoryOfUrl', () => {
  it('is where the files are, and nothing for any other store', () => {
    const directories = [
      'file',
      'FILE:',
      'file:./one',
      'file:///tmp/fo%20ur?durable=true',
      'redis',
      'memory:',
      'nonsense',
    ]
    assert.deepEqual(directories.map(directoryOfUrl), [
      '.sessions',
      '.sessions',
      './one',
      '/tmp/fo ur',
      undefined,
      undefined,
      undefined,
    ])
  })
})
