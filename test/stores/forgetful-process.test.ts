import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { promisify } from 'node:util'
import { memcachedServer } from '../support/servers/memcached-server.ts'
import { redisServer } from '../support/servers/redis-server.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const run = promisify(execFile)
const PROGRAM = join(import.meta.dirname, '../support/programs/forgetful-server.js')

/** What the process printed until it ended by itself. Rejects if it had to be killed. */
async function printed(store: string): Promise<string> {
  return (await run(process.execPath, [PROGRAM, store], { timeout: 120_000 })).stdout
}

describe('a process that has closed its server, and has not closed its sessions', () => {
  it('ends with memory', async () => {
    assert.equal(await printed('memory:'), '1\n2\n')
  })

  it('ends with files', async () => {
    assert.equal(await printed(`file:${temporaryDirectory('forgetful')}`), '1\n2\n')
  })

  it('ends with Redis, whose connections stay open', async (test) => {
    const redis = await redisServer()
    test.after(() => redis.stop())
    assert.equal(await printed(`${redis.url}?deadline=60000`), '1\n2\n')
    assert.equal(await printed(`${redis.url}/3?deadline=60000`), '1\n2\n')
  })

  it('ends with Redis out of reach, which is tried again and again', async (test) => {
    const redis = await redisServer()
    test.after(() => redis.stop())
    const program = `
      import { redisStore } from ${JSON.stringify(join(import.meta.dirname, '../../src/index.js'))}
      const store = redisStore(process.argv[1])
      await store.load('0'.repeat(64))
      process.kill(Number(process.argv[2]), 'SIGKILL')
      await store.load('0'.repeat(64)).catch((error) => console.log(error.code))
    `
    const pid = /process_id:(\d+)/.exec(await redis.cli('INFO', 'server'))?.[1] ?? ''
    const { stdout } = await run(
      process.execPath,
      ['--input-type=module', '-e', program, `${redis.url}?deadline=60000`, pid],
      {
        timeout: 120_000,
      },
    )
    assert.equal(stdout, 'ERR_SESSION_STORE_UNAVAILABLE\n')
  })

  it('ends with memcached', async (test) => {
    const memcached = await memcachedServer()
    test.after(() => memcached.stop())
    assert.equal(await printed(`${memcached.url}?deadline=60000`), '1\n2\n')
  })
})
