import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { newToken } from '../../src/session/token.ts'
import { Agent, KEY, OLD_KEY } from '../support/sites/http.ts'
import { startHere } from '../support/sites/test-site.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const VALUE = 'a value that nobody else may see'

describe('G9: secrets', () => {
  it('no id, cookie, key or value is in any message, error, log or diagnostic, nor any but values in the store', async (test) => {
    const directory = temporaryDirectory()
    const options = { store: `file:${directory}`, keys: [KEY, OLD_KEY], idleTimeout: 20_000 }
    const child = fork(join(import.meta.dirname, '../support/programs/watched-server.js'), [JSON.stringify(options)], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { ...process.env, DEBUG: '*', NODE_DEBUG: 'koa-server-session', NODE_OPTIONS: '--trace-warnings' },
    })
    test.after(() => child.kill('SIGKILL'))
    let printed = ''
    child.stdout?.on('data', (piece) => (printed += String(piece)))
    child.stderr?.on('data', (piece) => (printed += String(piece)))
    const [port] = (await once(child, 'message')) as [number]

    const secrets = new Set([KEY, OLD_KEY])
    const answers: string[] = []
    const agent = new Agent(port)
    const value = encodeURIComponent(VALUE)
    async function visit(path: string, cookie?: string): Promise<number> {
      const reply = await agent.get(path, cookie === undefined ? {} : { cookie })
      if (reply.status >= 400) answers.push(reply.text)
      remember()
      return reply.status
    }
    function remember(): void {
      const [id = '', signature = ''] = (agent.cookies.get('sid') ?? '').split('.')
      if (id) secrets.add(id).add(signature)
    }

    await visit(`/write?key=user&value=${value}`)
    await visit('/read')
    await visit(`/flash?value=${value}`)
    await visit('/increment?key=count')
    await Promise.all(Array.from({ length: 5 }, (_, index) => visit(`/save?key=k${index}&value=${value}`)))
    await visit(`/login?user=${value}`)
    await visit('/rotate')
    await visit('/remember')
    assert.equal(await visit('/throw'), 500)
    assert.equal(await visit(`/unstorable?value=${value}`), 500)
    assert.equal(await visit(`/too-large?value=${value}`), 500)
    assert.equal(await visit(`/reserved?value=${value}`), 500)
    await visit(`/after?value=${value}`)
    const good = agent.cookieHeader
    assert.equal(await visit('/read', `sid=${'A'.repeat(43)}.${'B'.repeat(43)}`), 200)
    assert.equal(await visit('/read', good.replace(/.$/, good.endsWith('A') ? 'B' : 'A')), 200)

    // A record that is gone under a writer, and below one that cannot be read.
    const [id = ''] = (agent.cookies.get('sid') ?? '').split('.')
    const key = createHash('sha256').update(id).digest('hex')
    const record = files(directory).find((file) => file.includes(key) && statSync(file).size > 0) as string
    const whole = readFileSync(record, 'utf8')
    assert.ok(whole.includes(VALUE), 'the scenario does store the value')
    const late = agent.get(`/write?key=late&value=${value}&gate=x`)
    await agent.get('/arrived?gate=x')
    await new Agent(port).get('/logout', { cookie: good })
    await agent.get('/open?gate=x')
    await late
    await visit('/read', good)

    agent.cookies.clear()
    await visit(`/write?key=user&value=${value}`)
    await visit('/increment?key=count')
    const [current] = files(directory).filter((file) => statSync(file).size > 0)
    writeFileSync(current as string, `{ "half": "${VALUE}`)
    await visit('/read')
    await new Promise((resume) => setTimeout(resume, 2_050)) // until a touch is due
    await visit('/read')
    await visit(`/write?key=user&value=${value}`)
    await visit(`/ended?value=${value}`)
    await visit(`/write?key=user&value=${value}`)
    await visit('/stats')

    child.kill('SIGTERM')
    await once(child, 'close')
    for (const channel of [
      'load:start',
      'load:asyncEnd',
      'save:start',
      'save:asyncEnd',
      'destroy:start',
      'touch:start',
      ':suspicious',
      ':conflict',
    ]) {
      assert.ok(printed.includes(channel), `the scenario reaches ${channel}`)
    }
    for (const code of ['VALUE', 'TOO_LARGE', 'RESERVED_KEY', 'ENDED', 'COMMITTED']) {
      assert.ok(printed.includes(`ERR_SESSION_${code}`), `the scenario reaches ERR_SESSION_${code}`)
    }
    assert.ok(secrets.size > 6)
    for (const secret of [...secrets, VALUE]) {
      assert.ok(!printed.includes(secret), `printed: ${around(printed, secret)}`)
      assert.ok(!answers.some((answer) => answer.includes(secret)), 'answered')
    }

    const stored = files(directory)
    assert.ok(stored.length > 0)
    for (const secret of secrets) {
      for (const file of stored) {
        assert.ok(!file.includes(secret), 'in a name')
        assert.ok(!readFileSync(file, 'utf8').includes(secret), 'in a file')
      }
    }
  })

  it('the store is asked for the SHA-256 of the id, which is what session.id tells', async (test) => {
    const directory = temporaryDirectory()
    const agent = new Agent(await startHere(test, { store: `file:${directory}` }))
    await agent.get('/write?key=user&value=alice')
    const [id = ''] = (agent.cookies.get('sid') ?? '').split('.')
    assert.match(id, /^[\w-]{43}$/, '256 bits')
    const key = createHash('sha256').update(id).digest('hex')
    assert.ok(files(directory).some((file) => file.includes(key)))
  })

  it('ids do not repeat and use all of their bits', () => {
    const ids = Array.from({ length: 2000 }, newToken)
    assert.equal(new Set(ids).size, ids.length)
    const ones = new Array<number>(256).fill(0)
    for (const id of ids) {
      const bytes = Buffer.from(id, 'base64url')
      assert.equal(bytes.length, 32)
      for (let bit = 0; bit < 256; bit++)
        ones[bit] = (ones[bit] as number) + (((bytes[bit >> 3] as number) >> (bit & 7)) & 1)
    }
    // Twelve standard deviations of 2000 tosses.
    for (const count of ones) assert.ok(Math.abs(count - 1000) < 270, `${count} of 2000`)
  })
})

function files(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((name) => join(directory, name))
    .filter((file) => statSync(file).isFile() && !file.endsWith('.gitignore'))
}

function around(text: string, secret: string): string {
  const at = text.indexOf(secret)
  return text.slice(Math.max(0, at - 300), at + 100)
}
