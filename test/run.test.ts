import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, it } from 'node:test'

describe('npm test', () => {
  it('fails with a sentence when no test file has the given name', () => {
    const { status, stderr } = run(['no-such-name'], process.env)
    assert.equal(stderr, 'No test file has no-such-name in its name.\n')
    assert.equal(status, 1)
  })

  it('fails with what to install, and how, when it cannot install it', () => {
    // A path without any folder: neither the servers nor apt-get are there.
    const { status, stderr } = run(['run'], { ...process.env, PATH: '' })
    assert.match(stderr, /redis-server memcached postgresql chromium/)
    assert.match(stderr, /apt-get install -y --no-install-recommends redis-server memcached postgresql chromium'$/m)
    assert.equal(status, 1)
  })
})

function run(args: string[], env: NodeJS.ProcessEnv): { status: number | null; stderr: string } {
  return spawnSync(process.execPath, [join(import.meta.dirname, 'support/run.js'), ...args], { env, encoding: 'utf8' })
}
