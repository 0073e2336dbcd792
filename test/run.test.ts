import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { temporaryDirectory } from './support/temporary-directory.ts'
import { outcomeOf } from './support/runner/outcome.ts'
import { cutShort, ENDS, withFoldersTogether } from './support/runner/together.ts'

describe('npm test', () => {
  it('fails with a sentence when no test file has the given name', () => {
    const { status, stderr } = run(['no-such-name'], process.env)
    assert.equal(stderr, 'No test file has no-such-name in its name.\n')
    assert.equal(status, 1)
  })

  it('asks for what the wanted tests start, and says how to install it when it cannot', () => {
    // A path without any folder: neither the servers nor apt-get are there.
    const { status, stderr } = run(['redis-outage', 'browser/shell'], { ...outside, PATH: '' })
    assert.match(stderr, /^These tests need what Debian calls chromium-headless-shell openssl redis-server\. /)
    assert.match(stderr, /apt-get install -y --no-install-recommends chromium-headless-shell openssl redis-server'$/m)
    assert.equal(status, 1)
  })

  it('asks for no server that only other tests start', () => {
    const { status, stdout, stderr } = run(['http/cookie-path'], { ...outside, PATH: '' })
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

describe('a folder whose tests share a process when everything is run', () => {
  const RED = "import { it } from 'node:test'\n\nit('is red', () => { throw new Error('as it happens') })"
  const GREEN = "import { it } from 'node:test'\nit('is green', () => {})"

  it('is one file for the test runner, and the files of all others stay what they are', () => {
    const [folder, files] = folderOf({ 'a.test.js': GREEN, 'b.test.js': GREEN })
    const other = join(temporaryDirectory(), 'other.test.js')
    assert.deepEqual(withFoldersTogether([...files, other]), [join(folder, 'together.js'), other])
  })

  it('tells of each test with its file and line, also if another file cannot be loaded', () => {
    const [folder, files, ends] = folderOf({
      'a.test.js': "import './missing.js'",
      'b.test.js': RED,
      'c.test.js': GREEN,
    })
    const { stdout } = runFolder(folder, ends)
    const { passed, failed, names } = outcomeOf(stdout)
    assert.deepEqual([passed, failed], [1, 2])
    assert.match(names.join('\n'), /: loads the 3 files of test\/some\n.*: is red$/)
    assert.match(stdout, /^test at \S*b\.test\.js:3:1\n✖ is red/m)
    assert.match(stdout, /Cannot find module .*missing\.js/)
    assert.deepEqual(cutShort(files, ends), [])
  })

  it('is told apart by its files if its process ends before they do', () => {
    const [folder, files, ends] = folderOf({ 'a.test.js': RED.replace('throw', 'process.exit(0); throw') })
    const { stdout } = runFolder(folder, ends)
    assert.doesNotMatch(stdout, /is red/)
    assert.deepEqual(cutShort([...files, join(import.meta.dirname, 'cli.test.js')], ends), files)
  })

  function folderOf(tests: Record<string, string>): [folder: string, files: string[], ends: string] {
    const folder = join(temporaryDirectory(), 'some')
    mkdirSync(folder)
    const runner = join(import.meta.dirname, 'support/runner/together.js')
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
    writeFileSync(join(folder, 'together.js'), `import { together } from '${runner}'\ntogether(import.meta.dirname)`)
    for (const [file, code] of Object.entries(tests)) writeFileSync(join(folder, file), code)
    return [folder, Object.keys(tests).map((file) => join(folder, file)), temporaryDirectory()]
  }

  function runFolder(folder: string, ends: string): { stdout: string } {
    const args = ['--test', '--test-reporter=spec', join(folder, 'together.js')]
    return spawnSync(process.execPath, args, { env: { ...outside, [ENDS]: ends }, encoding: 'utf8' })
  }
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

describe('npm run test:steady', () => {
  const [major = ''] = process.versions.node.split('.')

  it('runs the wanted tests on the wanted Node so many times, and says what came of each run', () => {
    const { status, stdout } = run(['--times', '2', '--node', major, 'token.test'], outside, 'steady')
    assert.match(stdout, /^run 2 of 2: green, \d+ s$/m)
    assert.match(stdout, /\n +run +seconds +passed +failed +failed tests\n +1 +\d+ +(\d+) +0\n +2 +\d+ +\1 +0\n$/)
    assert.equal(status, 0)
  })

  it('fails where a run does, and keeps what it printed', (test) => {
    const { status, stdout } = run(['--times=1', 'no-such-name'], outside, 'steady')
    const [, log = ''] = /^run 1 of 1: RED, see (.+), \d+ s$/m.exec(stdout) ?? []
    test.after(() => rmSync(dirname(log), { recursive: true }))
    assert.match(readFileSync(log, 'utf8'), /^No test file has no-such-name in its name\.$/m)
    assert.match(stdout, new RegExp(`no test has failed: see ${log}\n$`))
    assert.equal(status, 1)
  })

  it('names the tests that have failed', () => {
    const directory = temporaryDirectory()
    const file = join(directory, 'some.test.mjs')
    writeFileSync(
      file,
      `import { describe, it } from 'node:test'
      it('is green', () => {})
      describe('of several', () => {
        it('is red: with (1.5ms) in its name', () => { throw new Error('as it happens') })
        it('is red too', () => { throw new Error('as it happens') })
      })`,
    )
    const { stdout } = spawnSync(process.execPath, ['--test', '--test-reporter=spec', file], {
      env: outside,
      encoding: 'utf8',
    })
    const { passed, failed, names } = outcomeOf(stdout)
    assert.deepEqual([passed, failed], [1, 2])
    assert.deepEqual(
      names.map((name) => name.replace(/^.*\.mjs: /, '')),
      ['is red: with (1.5ms) in its name', 'is red too'],
    )
  })

  it('says what is wrong with the number of runs', () => {
    const { status, stderr } = run(['--times', 'some'], outside, 'steady')
    assert.equal(stderr, '--times takes a whole number of runs, such as 20.\n')
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
