import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { addAbortListener, once } from 'node:events'
import { describe, it } from 'node:test'
import { setTimeout as after } from 'node:timers/promises'
import { EndSignal } from '../../src/layers/ends/end-signal.ts'
import { collectedAll } from '../support/processes/garbage.ts'
import { discreet } from '../support/secrecy.ts'

describe('the signal of a session’s end', () => {
  it('is aborted once, with ERR_SESSION_ENDED as the reason', async () => {
    const endSignal = new EndSignal()
    let count = 0
    endSignal.signal.addEventListener('abort', () => count++)
    assert.equal(endSignal.signal.aborted, false)
    endSignal.end()
    endSignal.end()
    assert.deepEqual([endSignal.signal.aborted, count], [true, 1])
    assert.ok(discreet('ERR_SESSION_ENDED')(endSignal.signal.reason))
    assert.throws(() => endSignal.signal.throwIfAborted(), discreet('ERR_SESSION_ENDED'))
  })

  it('works with all that Node does with signals', async () => {
    const endSignal = new EndSignal()
    const heard = once(endSignal.signal, 'abort')
    const slept = after(60_000, undefined, { signal: endSignal.signal, ref: false })
    const either = AbortSignal.any([endSignal.signal, new AbortController().signal])
    let byProperty = false
    endSignal.signal.onabort = () => (byProperty = true)
    endSignal.end()
    await heard
    await assert.rejects(slept, { name: 'AbortError' })
    assert.deepEqual([either.aborted, byProperty], [true, true])
  })

  it('tells its listeners in the place where it was asked for, whoever ends the session', () => {
    const place = new AsyncLocalStorage<string>()
    const endSignal = place.run('the listener’s request', () => new EndSignal())
    const seen: unknown[] = []
    endSignal.signal.addEventListener('abort', () => seen.push(place.getStore()))
    place.run('the request of an administrator', () => endSignal.end())
    assert.deepEqual(seen, ['the listener’s request'])
  })
})

describe('the hold on an end signal', () => {
  it('is firm while anybody listens, however that is done, and loose when the last has gone', () => {
    const { signal, hold } = new EndSignal()
    const isFirm = (): boolean => hold.listenedTo !== undefined
    const [one, two] = [(): void => {}, (): void => {}]
    assert.equal(isFirm(), false)
    signal.addEventListener('abort', one)
    signal.addEventListener('abort', two)
    signal.removeEventListener('abort', one)
    assert.equal(isFirm(), true)
    signal.removeEventListener('abort', two)
    assert.equal(isFirm(), false)

    const listening = addAbortListener(signal, one)
    assert.equal(isFirm(), true)
    listening[Symbol.dispose]()
    assert.equal(isFirm(), false)

    const closed = new AbortController()
    signal.addEventListener('abort', one, { signal: closed.signal })
    assert.equal(isFirm(), true)
    closed.abort()
    assert.equal(isFirm(), false)

    signal.addEventListener('something else', one)
    assert.equal(isFirm(), false)
    signal.onabort = one
    assert.equal(isFirm(), true)
  })

  it('is firm for all that is composed of the signal of a controller of one’s own, which a listener aborts', async () => {
    const told: string[] = []
    const hold = (() => {
      const { signal, hold } = new EndSignal()
      const ended = new AbortController()
      signal.addEventListener('abort', () => ended.abort(signal.reason), { once: true })
      const either = AbortSignal.any([ended.signal, new AbortController().signal])
      either.addEventListener('abort', () => told.push(String((either.reason as { code?: string }).code)))
      return hold
    })()
    await collectedAll()
    hold.endSignal.deref()?.end()
    assert.deepEqual(told, ['ERR_SESSION_ENDED'])
  })

  it('lets go of a signal that nobody uses, and not of one that somebody only listens to', async () => {
    const heard: number[] = []
    const holds = [0, 1, 2].map((number) => {
      const { signal, hold } = new EndSignal()
      if (number > 0) signal.addEventListener('abort', () => heard.push(number), { once: true })
      return hold
    })
    await collectedAll()
    assert.equal(holds[0]?.endSignal.deref(), undefined)
    holds[1]?.endSignal.deref()?.end()
    assert.deepEqual(heard, [1])
    await collectedAll()
    assert.deepEqual(
      holds.map(({ endSignal }) => endSignal.deref() === undefined),
      [true, true, false],
    )
  })

  it('does not let go while somebody has the signal alone', async () => {
    const { signal, hold } = new EndSignal()
    await collectedAll()
    hold.endSignal.deref()?.end()
    assert.equal(signal.aborted, true)
  })
})
