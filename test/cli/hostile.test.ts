import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileStore } from '../../src/index.ts'
import { program } from '../support/processes/command.ts'
import { HOSTILE } from '../support/records/hostile.ts'
import { later, newKey, savedOf } from '../support/stores/records.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

/** A program that goes on for ever runs out of this, and fails. */
const nodeOptions = ['--max-old-space-size=400']

describe('koa-server-session show, of values that somebody else put into the store', () => {
  it('prints no more than in proportion to what is stored, by whatever they refer to twice', async () => {
    const directory = join(temporaryDirectory(), 'sessions')
    const store = fileStore({ directory, pruneInterval: 0 })
    const lines = Object.entries(HOSTILE).map(([name, text]) => `\n${JSON.stringify(name)}:${text}`)
    const proofs = `"password":${Date.now()},"\\u001b[31m":1`
    const text = `{"format":1,"createdAt":${Date.now()},"idleTimeout":600000,"absoluteTimeout":600000,"proofs":{${proofs}},"data":{${lines.join()}\n}}`
    const id = newKey()
    savedOf(await store.save(id, text, later(), undefined))
    const shown = await program(['show', id, '-s', `file:${directory}`], { nodeOptions })
    assert.deepEqual([shown.code, shown.err], [0, ''])
    for (const name of Object.keys(HOSTILE)) assert.ok(shown.out.includes(`\n  ${name}: `), name)
    assert.match(
      shown.out,
      /^proved +20\d\d-\S+ +\d+ m?s ago {2}by password\nproved +1970-01-01T00:00:00Z .*ago {2}by \\u\{1b\}\[31m$/m,
    )
    assert.ok(shown.out.length < 20 * text.length, `${shown.out.length} characters for ${text.length}`)
    const json = await program(['show', id, '--json', '-s', `file:${directory}`], { nodeOptions })
    assert.deepEqual([json.code, json.err], [0, ''])
    assert.match(json.out, /"proved":\{"password":\d{13},"\\u001b\[31m":1\}/)
    assert.ok(json.out.length < 20 * text.length, `${json.out.length} characters for ${text.length}`)
    assert.deepEqual(Object.keys((JSON.parse(json.out) as { data: object }).data), Object.keys(HOSTILE))
  })

  it('shows as a value what is written twice and stays short, and as its text what does not', async () => {
    const directory = join(temporaryDirectory(), 'sessions')
    const store = fileStore({ directory, pruneInterval: 0 })
    const values = {
      pair: '{"~":[[1,1],{"when":2},["Date",""]]}',
      round: '{"~":[{"self":0,"when":1},["Date",""]]}',
      endless: HOSTILE['references that fan out to an object'],
    }
    const data = Object.entries(values).map(([name, text]) => `"${name}":${text}`)
    const text = `{"format":1,"createdAt":${Date.now()},"idleTimeout":600000,"absoluteTimeout":600000,"data":{${data.join()}}}`
    const id = newKey()
    savedOf(await store.save(id, text, later(), undefined))
    const { out } = await program(['show', id, '-s', `file:${directory}`], { nodeOptions })
    assert.match(out, /pair: \[ \{ when: Invalid Date \}, \{ when: Invalid Date \} \]/)
    assert.match(out, /round: <ref \*1> \{ self: \[Circular \*1\], when: Invalid Date \}/)
    assert.match(out, /endless: '\{"~":\[\{"a":1,"b":1\},/)
  })
})
