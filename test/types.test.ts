import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { describe, it } from 'node:test'

const ROOT = join(import.meta.dirname, '../..')
const TSC = join(createRequire(import.meta.url).resolve('typescript/package.json'), '../bin/tsc')

describe('an application that describes its data', () => {
  it('is told by the compiler what it may read and write, and what not', () => {
    // The file holds a line for each mistake, marked as one: a mistake that goes unnoticed fails the compilation too.
    const { status, stdout } = spawnSync(process.execPath, [TSC, '-p', join(ROOT, 'test/types')], { encoding: 'utf8' })
    assert.equal(status, 0, stdout)
  })
})
