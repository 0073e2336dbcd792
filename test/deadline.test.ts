import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { describe, it } from 'node:test'
import { Deadline, type Countdown } from '../src/deadline.ts'
import { answeringThread, heldUp } from './support/held-up.ts'
import { collectedUntil } from './support/processes/garbage.ts'

const sleep = (length: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, length))
const timers = (): number => process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length

describe('a deadline', () => {
  it('gives up what does not end in time, each once and never early, in the order in which they began', async () => {
    const deadline = new Deadline(40)
    const late: { name: string; after: number }[] = []
    const begin = (name: string): void => {
      const began = performance.now()
      deadline.begin(() => late.push({ name, after: performance.now() - began }))
    }
    begin('first')
    await sleep(25)
    begin('second')
    begin('third')
    while (late.length < 3) await sleep(5)
    await sleep(50)
    assert.deepEqual(
      late.map(({ name }) => name),
      ['first', 'second', 'third'],
    )
    for (const { name, after } of late) assert.ok(after >= 40, `${name} was given up after ${after} ms`)
  })

  it('leaves alone what ended in time, and says whether it did', async () => {
    const deadline = new Deadline(30)
    const inTime = deadline.begin(() => assert.fail('it had ended'))
    assert.equal(deadline.end(inTime), true)
    let isLate = false
    const late = deadline.begin(() => (isLate = true))
    while (!isLate) await sleep(5)
    assert.equal(deadline.end(late), false)
    assert.equal(deadline.end(late), false)
  })

  it('lets an answer be in time that came while the process stood still', async (test) => {
    const thread = await answeringThread(test)
    const deadline = new Deadline(40)
    const outcome = deadline.within(thread.ask(), () => new Error('it was given up'))
    thread.isThere()
    heldUp(50)
    assert.equal(await outcome, 'an answer')
  })

  it('is kept by what begins while the timer of something that has ended still runs', async () => {
    const deadline = new Deadline(40)
    deadline.end(deadline.begin(() => assert.fail('it had ended')))
    await sleep(30)
    const began = performance.now()
    await new Promise<void>((resolve) => deadline.begin(resolve))
    assert.ok(performance.now() - began >= 40)
  })

  it('keeps the process alive while something is under way, and no longer, with one timer for all', () => {
    const deadline = new Deadline(60_000)
    const before = timers()
    const under = Array.from({ length: 1000 }, () => deadline.begin(() => {}))
    assert.equal(timers(), before + 1)
    for (const one of under) deadline.end(one)
    assert.equal(timers(), before)
    const again = deadline.begin(() => {})
    assert.equal(timers(), before + 1)
    deadline.end(again)
    assert.equal(timers(), before)
  })

  it('keeps nothing of the request in which its timer was set', async () => {
    const deadline = new Deadline(60_000)
    const requests = new AsyncLocalStorage<object>()
    let isGone = false
    const registry = new FinalizationRegistry(() => (isGone = true))
    const request = (): void => {
      const own = {}
      registry.register(own, undefined)
      requests.run(own, () => deadline.end(deadline.begin(() => {})))
    }
    request()
    await collectedUntil(() => isGone)
    assert.ok(isGone)
  })

  it('lets go of what has ended, even where something still holds on to it', async () => {
    const deadline = new Deadline(60_000)
    let isGone = false
    const registry = new FinalizationRegistry(() => (isGone = true))
    const ended = ((): Countdown => {
      const request = { isLate: false }
      registry.register(request, undefined)
      return deadline.begin(() => (request.isLate = true))
    })()
    assert.equal(deadline.end(ended), true)
    await collectedUntil(() => isGone)
    assert.ok(isGone)
    assert.equal(deadline.end(ended), false)
  })
})
