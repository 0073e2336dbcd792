import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { Checks } from '../../src/checks.ts'
import { loadPackage } from '../../src/stores/sql/driver.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const checks = new Checks('aStore')
const cure = 'needs the package driver 2; npm i driver'

/** A file beside which this release of a driver is installed. */
function placeWith(version: string | undefined): string {
  const directory = temporaryDirectory()
  const folder = join(directory, 'node_modules/driver')
  mkdirSync(folder, { recursive: true })
  if (version !== undefined) writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'driver', version }))
  writeFileSync(join(folder, 'index.js'), '')
  writeFileSync(join(folder, 'promise.js'), `module.exports = 'driver ${version}'`)
  return join(directory, 'index.js')
}

function load(...places: string[]): unknown {
  return loadPackage(checks, { module: 'driver/promise', least: [2, 11], cure }, places)
}

describe('the package of a database', () => {
  it('is taken in the least release or a later one, or if nobody can tell which one it is', () => {
    for (const version of ['2.11.0', '2.12.1', '3.0.0', undefined])
      assert.equal(load(placeWith(version)), `driver ${version}`)
  })

  it('is refused in an older release, with the one to install', () => {
    for (const version of ['2.10.9', '1.99.0', '2.2.0'])
      assert.throws(() => load(placeWith(version)), {
        code: 'ERR_SESSION_OPTION',
        message: /driver is older than 2\.11; npm i driver@2/,
      })
  })

  it('is looked for in the next place, if the first one has none or an old one', () => {
    const nowhere = join(temporaryDirectory(), 'index.js')
    assert.equal(load(nowhere, placeWith('1.0.0'), placeWith('2.11.0')), 'driver 2.11.0')
    assert.throws(() => load(nowhere), { code: 'ERR_SESSION_OPTION', message: /needs the package driver 2/ })
  })
})
