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
    assert.match(stderr, /curl redis-server memcached postgresql chromium/)
    assert.match(
      stderr,
      /apt-get install -y --no-install-recommends curl redis-server memcached postgresql chromium'$/m,
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
