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

  it('asks for what the wanted tests start, and says how to install it when it cannot', () => {
    // A path without any folder: neither the servers nor apt-get are there.
    const { status, stderr } = run(['redis-outage', 'browser/cookies'], { ...outside, PATH: '' })
    assert.match(stderr, /^These tests need what Debian calls chromium openssl redis-server\. /)
    assert.match(stderr, /apt-get install -y --no-install-recommends chromium openssl redis-server'$/m)
    assert.equal(status, 1)
  })

  it('asks for no server that only other tests start', () => {
    const { status, stdout, stderr } = run(['http/cookie'], { ...outside, PATH: '' })
    assert.equal(stderr, '')
    assert.match(stdout, /^ℹ fail 0$/m)
    assert.equal(status, 0)
  })

  it('knows what every test starts', () => {
    const { stderr } = run([], { ...outside, PATH: '' })
    for (const name of ['chromium', 'curl', 'memcached', 'openssl', 'redis-server'])
      assert.match(stderr, new RegExp(name))
  })
})

describe('a test that was started without npm test', () => {
  it('says what to install for it', () => {
    const file = join(import.meta.dirname, 'stores/redis-outage.test.js')
    const { status, stdout } = spawnSync(process.execPath, ['--test', file], {
      env: { ...outside, PATH: '' },
      encoding: 'utf8',
    })
    assert.match(
      stdout,
      /This test starts redis-server, which is not installed\. On Debian: apt-get install redis-server/,
    )
    assert.equal(status, 1)
  })
})

describe('npm run test:node', () => {
  const [major = ''] = process.versions.node.split('.')

  it('runs the wanted tests on the wanted Node, and fails where they do', () => {
    const green = run([major, 'token.test', '--test-name-pattern=nothing of this name'], outside, 'on-node')
    assert.match(green.stdout, new RegExp(`^==> Node ${process.version}$`, 'm'))
    assert.match(green.stdout, /^ℹ fail 0$/m)
    assert.equal(green.status, 0)
    const red = run([major, 'no-such-name'], outside, 'on-node')
    assert.match(red.stderr, new RegExp(`No test file .*\\nThe tests failed on Node ${major}\\.\\n$`))
    assert.equal(red.status, 1)
  })

  it('asks for a version', () => {
    const { status, stderr } = run([], outside, 'on-node')
    assert.equal(stderr, 'Say on which versions of Node: npm run test:node -- 22 24 26\n')
    assert.equal(status, 1)
  })
})

// A test runner that is told that it is a part of another one runs nothing.
const { NODE_TEST_CONTEXT: _inside, ...outside } = process.env

function run(
  args: string[],
  env: NodeJS.ProcessEnv,
  script = 'run',
): { status: number | null; stdout: string; stderr: string } {
  const file = join(import.meta.dirname, `support/runner/${script}.js`)
  return spawnSync(process.execPath, [file, ...args], { env, encoding: 'utf8' })
}
