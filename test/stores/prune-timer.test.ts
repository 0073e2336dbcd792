import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Checks } from '../../src/checks.ts'
import { discreet } from '../support/secrecy.ts'
import { checkedInterval, pruneRegularly } from '../../src/stores/prune-timer.ts'

const HOUR = 3_600_000

function fail(error: unknown): void {
  assert.fail(String(error))
}

async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}

describe('pruneRegularly', () => {
  it('prunes about every interval, and not after it was stopped', async (test) => {
    test.mock.timers.enable({ apis: ['setTimeout'] })
    let runs = 0
    const stop = pruneRegularly(HOUR, async () => runs++, fail)
    test.mock.timers.tick(0.89 * HOUR)
    assert.equal(runs, 0)
    test.mock.timers.tick(0.22 * HOUR)
    assert.equal(runs, 1)
    await settled()
    test.mock.timers.tick(1.11 * HOUR)
    assert.equal(runs, 2)
    stop()
    await settled()
    test.mock.timers.tick(10 * HOUR)
    assert.equal(runs, 2)
  })

  it('begins no run before the last one has ended', async (test) => {
    test.mock.timers.enable({ apis: ['setTimeout'] })
    const { promise, resolve } = ((): { promise: Promise<void>; resolve: () => void } => {
      let resolve = (): void => {}
      const promise = new Promise<void>((done) => (resolve = done))
      return { promise, resolve }
    })()
    let runs = 0
    const stop = pruneRegularly(
      HOUR,
      () => {
        runs++
        return promise
      },
      fail,
    )
    test.mock.timers.tick(10 * HOUR)
    assert.equal(runs, 1)
    resolve()
    await settled()
    test.mock.timers.tick(2 * HOUR)
    assert.equal(runs, 2)
    stop()
  })

  it('tells of a failure, and goes on', async (test) => {
    test.mock.timers.enable({ apis: ['setTimeout'] })
    const failure = new Error('no space')
    const failures: unknown[] = []
    const stop = pruneRegularly(
      HOUR,
      () => Promise.reject(failure),
      (error) => failures.push(error),
    )
    test.mock.timers.tick(2 * HOUR)
    await settled()
    test.mock.timers.tick(2 * HOUR)
    await settled()
    assert.deepEqual(failures, [failure, failure])
    stop()
  })

  it('never prunes with an interval of 0', (test) => {
    test.mock.timers.enable({ apis: ['setTimeout'] })
    pruneRegularly(0, () => assert.fail(), fail)()
    test.mock.timers.tick(1000 * HOUR)
  })
})

describe('pruneInterval', () => {
  it('is a number of milliseconds, up to a week', () => {
    const checks = new Checks('memoryStore')
    assert.equal(checkedInterval(checks, undefined, HOUR), HOUR)
    assert.equal(checkedInterval(checks, 0, HOUR), 0)
    for (const interval of [-1, NaN, Infinity, 8 * 24 * HOUR, '15m', null]) {
      assert.throws(() => checkedInterval(checks, interval, HOUR), discreet('ERR_SESSION_OPTION'))
    }
  })
})
