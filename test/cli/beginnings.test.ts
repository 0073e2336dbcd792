import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fileStore } from '../../src/index.ts'
import { command, documents } from '../support/processes/command.ts'
import { later, savedOf } from '../support/stores/records.ts'
import { keysOf } from '../support/stores/stores.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const TWINS = [`${'a'.repeat(40)}${'1'.repeat(24)}`, `${'a'.repeat(40)}${'2'.repeat(24)}`] as const
const OTHER = 'b'.repeat(64)

/** A store with two sessions whose ids begin alike, and a third one. */
async function three(): Promise<{ url: string; left(): Promise<string[]> }> {
  const directory = temporaryDirectory()
  const filled = fileStore({ directory, pruneInterval: 0 })
  const text = `{"format":1,"createdAt":${Date.now()},"idleTimeout":600000,"absoluteTimeout":600000,"data":{}}`
  for (const key of [...TWINS, OTHER]) savedOf(await filled.save(key, text, later(), undefined))
  return { url: `file:${directory}`, left: async () => (await keysOf(filled)).toSorted() }
}

describe('the beginning of an id', () => {
  it('is enough for show and revoke, if no other id begins with it', async () => {
    const { url, left } = await three()
    const shown = await command(['show', OTHER.slice(0, 8), '--json', '-s', url])
    assert.deepEqual([shown.code, documents(shown)[0]?.['id']], [0, OTHER])
    assert.equal((await command(['revoke', OTHER.slice(0, 12), TWINS[0], '-s', url])).code, 0)
    assert.deepEqual(await left(), [TWINS[1]])
  })

  it('is refused if several ids begin with it, and nothing is ended', async () => {
    const { url, left } = await three()
    for (const args of [
      ['show', TWINS[0].slice(0, 12)],
      ['revoke', OTHER, TWINS[0].slice(0, 12)],
      ['revoke', '--all', '--yes', '--except', TWINS[0].slice(0, 12)],
    ]) {
      const { code, err } = await command([...args, '-s', url])
      assert.equal(code, 2)
      assert.match(err, /The ids of 2 sessions begin with aaaaaaaaaaaa\. Give more of its digits/)
    }
    assert.equal((await left()).length, 3)
  })

  it('is not found if none begins with it, and refused if it is what should be left alone', async () => {
    const { url, left } = await three()
    assert.equal((await command(['show', 'cccccccc', '-s', url])).code, 3)
    const revoked = await command(['revoke', 'cccccccc', '-s', url])
    assert.deepEqual([revoked.code, revoked.err], [3, 'There is no live session cccccccc.\n'])
    const all = await command(['revoke', '--all', '--yes', '--except', 'cccccccc', '-s', url])
    assert.equal(all.code, 2)
    assert.match(all.err, /No session's id begins with cccccccc, which --except names\. Nothing was ended/)
    assert.equal((await left()).length, 3)
    assert.equal((await command(['revoke', '--all', '--yes', '--except', 'bbbbbbbb', '-s', url])).code, 0)
    assert.deepEqual(await left(), [OTHER])
  })

  it('is of eight digits at least', async () => {
    const { url } = await three()
    const { code, err } = await command(['show', 'bbbbbbb', '-s', url])
    assert.equal(code, 2)
    assert.match(err, /64 hexadecimal digits.* or its first 8 or more/)
  })
})

describe('koa-server-session list --limit N', () => {
  it('stops after so many sessions, and says so', async () => {
    const { url } = await three()
    const { code, out, err } = await command(['list', '--limit', '2', '--json', '-s', url])
    assert.deepEqual([code, out.trim().split('\n').length], [0, 2])
    assert.match(err, /These are 2 sessions; there may be more/)
    const all = await command(['list', '--limit', '4', '--json', '-s', url])
    assert.deepEqual([all.out.trim().split('\n').length, all.err], [3, ''])
  })

  it('refuses what is no number of sessions', async () => {
    for (const limit of ['0', '-1', 'ten', '1.5']) {
      const { code, err } = await command(['list', `--limit=${limit}`, '-s', 'file:nowhere'])
      assert.equal(code, 2)
      assert.match(err, /--limit must be a whole number above 0/)
    }
  })
})
