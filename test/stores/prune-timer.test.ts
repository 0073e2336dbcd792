import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isSessionError } from '../../src/errors.ts'
import { pruneRegularly, refuseUnknown } from '../../src/stores/prune-timer.ts'

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

  it('never prunes with an interval of 0, and refuses what is no interval', (test) => {
    test.mock.timers.enable({ apis: ['setTimeout'] })
    pruneRegularly(0, () => assert.fail(), fail)()
    test.mock.timers.tick(1000 * HOUR)
    for (const interval of [-1, NaN, Infinity, 8 * 24 * HOUR]) {
      assert.throws(
        () => pruneRegularly(interval, async () => {}, fail),
        (error) => isSessionError(error, 'ERR_SESSION_OPTION'),
      )
    }
  })
})

describe('refuseUnknown', () => {
  it('names the options that there are not', () => {
    refuseUnknown('memoryStore', {})
    assert.throws(() => refuseUnknown('memoryStore', { prune: 1, max: 2 }), /memoryStore has no option prune, max/)
  })
})
