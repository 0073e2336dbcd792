import assert from 'node:assert/strict'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Found, Saved, Store } from '../../store.ts'
import type { Key } from '../../units.ts'
import { conflict, later, newKey, PATIENCE, same, saved, sleep, type Rule } from './support.ts'

/** What holds when many calls run at once. */
export function raceRules(rule: Rule): void {
  rule('of parallel creators of one key, one succeeds and all others get its record', async (store, peer) => {
    const key = newKey()
    const answers = await Promise.all(
      Array.from({ length: 20 }, async (_, n) => (n % 2 ? store : peer).save(key, `${n}`, later(), undefined)),
    )
    const winners = answers.flatMap((answer) => answer.saved ?? [])
    assert.equal(winners.length, 1)
    for (const answer of answers) if (!answer.saved) same(conflict(answer), winners[0])
    same(await store.load(key), winners[0])
  })

  rule('50 parallel writers that save what they loaded lose nothing', async (store, peer) => {
    const key = newKey()
    const first = saved(await store.save(key, '[]', later(), undefined))
    const ends = await Promise.allSettled(Array.from({ length: 50 }, (_, n) => add(n % 2 ? store : peer, key, n)))
    for (const end of ends) if (end.status === 'rejected') throw end.reason
    const last = await store.load(key)
    assert.ok(last, 'the record is there')
    assert.deepEqual(
      (JSON.parse(last.text) as number[]).sort((a, b) => a - b),
      Array.from({ length: 50 }, (_, n) => n),
    )
    assert.ok(last.version >= first.version + 50, 'every save had a version of its own')
  })

  rule('touches and saves of one record at once all count: no write and no later end is lost', async (store, peer) => {
    const key = newKey()
    const created = saved(await store.save(key, '[]', later(), undefined))
    const ends = Array.from({ length: 30 }, (_, n) => later(60 + n))
    await Promise.all([
      ...Array.from({ length: 10 }, (_, n) => add(n % 2 ? store : peer, key, n, later(2))),
      ...ends.map(async (expiresAt, n) => assert.equal(await (n % 2 ? peer : store).touch(key, expiresAt), true)),
    ])
    const last = await store.load(key)
    assert.deepEqual(
      (JSON.parse(last?.text ?? '') as number[]).toSorted((a, b) => a - b),
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    )
    assert.ok(last && last.version >= created.version + 10, 'every save had a version of its own')
    assert.ok(ends.includes(last.expiresAt) || last.expiresAt <= later(2), 'the end is that of a touch or of a save')
  })

  rule('a delete of the known version loses no write that was acknowledged before it', async (store, peer) => {
    for (let round = 0; round < 5; round++) await deleteKnownUnderWriters(store, peer, newKey())
  })

  rule('of parallel deletes, with and without a version, one succeeds', async (store, peer) => {
    for (let round = 0; round < 5; round++) {
      const key = newKey()
      const known = saved(await store.save(key, '1', later(), undefined))
      const answers = await Promise.all(
        Array.from({ length: 10 }, async (_, n) => (n % 2 ? store : peer).delete(key, n % 3 ? known : undefined)),
      )
      assert.deepEqual(answers.filter(Boolean), [true])
    }
  })

  rule('a record deleted under 20 writers stays deleted', async (store, peer) => {
    for (let round = 0; round < 5; round++) await deleteUnderWriters(store, peer, newKey())
  })
}

async function add(store: Store, key: Key, number: number, expiresAt = later()): Promise<void> {
  let known = await store.load(key)
  // Each conflict means that another writer has saved, which happens 49 times at most. Ten times that is generous.
  for (let tries = 0; tries < 500; tries++) {
    assert.ok(known, 'the record is there')
    const numbers = [...(JSON.parse(known.text) as number[]), number]
    const answer: Saved = await store.save(key, JSON.stringify(numbers), expiresAt, known)
    if (answer.saved) return
    known = number % 3 ? conflict(answer) : await store.load(key)
  }
  assert.fail('a save conflicts only if another one has succeeded')
}

/** How writers pause. Whatever a store waits for between two of its own steps, one of the writers comes in between. */
const PAUSES: readonly (() => Promise<unknown>)[] = [async () => {}, () => nextTurn(), () => sleep(0)]
const SAVES_OF_A_WRITER = 4

/** Nine writers, and one deleter that follows them: what the deleter saw last holds every write that was acknowledged. */
async function deleteKnownUnderWriters(store: Store, peer: Store, key: Key): Promise<void> {
  const acknowledged = new Set<number>()
  const first = saved(await store.save(key, '[]', later(), undefined))

  /** Whether the record is still there. */
  const append = async (handle: Store, known: Found, number: number): Promise<Found | undefined> => {
    for (let current = known; ;) {
      const numbers = [...(JSON.parse(current.text) as number[]), number]
      const answer: Saved = await handle.save(key, JSON.stringify(numbers), later(), current)
      if (answer.saved) acknowledged.add(number)
      if (!answer.conflict) return answer.saved
      current = answer.conflict
    }
  }
  const write = async (handle: Store, n: number): Promise<void> => {
    let known: Found | undefined = first
    for (let round = 0; round < SAVES_OF_A_WRITER && known; round++) {
      await PAUSES[n % PAUSES.length]!()
      known = await append(handle, known, n * SAVES_OF_A_WRITER + round)
    }
  }
  const erase = async (): Promise<string> => {
    let known: Found = first
    for (let tries = 0; tries < 500; tries++) {
      const answer = await peer.delete(key, known)
      if (answer === true) return known.text
      assert.ok(typeof answer === 'object', 'nobody else deletes it')
      known = answer
    }
    return assert.fail('a delete conflicts only if a save has succeeded')
  }

  const writers = Array.from({ length: 9 }, (_, n) => write(n % 2 ? store : peer, n))
  const [seen, ...ends] = await Promise.allSettled([erase(), ...writers])
  for (const end of [seen, ...ends]) if (end.status === 'rejected') throw end.reason
  assert.ok(seen.status === 'fulfilled')
  const byNumber = (a: number, b: number): number => a - b
  assert.deepEqual((JSON.parse(seen.value) as number[]).toSorted(byNumber), [...acknowledged].toSorted(byNumber))
  assert.equal(await store.load(key), undefined)
}

async function deleteUnderWriters(store: Store, peer: Store, key: Key): Promise<void> {
  saved(await store.save(key, '0', later(), undefined))
  const deadline = performance.now() + PATIENCE
  let saves = 0
  let writing = 20
  let deleted = false
  let over = false

  const write = async (handle: Store, readsAgain: boolean): Promise<void> => {
    for (let known = await handle.load(key); known !== undefined && !over;) {
      const tooLate = deleted
      const answer = await handle.save(key, `${saves++}`, later(), known)
      if (tooLate) assert.deepEqual(answer, { gone: true })
      await handle.touch(key, later(2))
      if (answer.gone) return
      assert.ok(performance.now() < deadline, 'the record is deleted at some time')
      // A store that answers at once would otherwise give nobody else a turn.
      await sleep(0)
      known = readsAgain ? await handle.load(key) : (answer.saved ?? answer.conflict)
    }
  }
  const erase = async (): Promise<void> => {
    while (saves < 20 && writing > 0) await sleep(0)
    try {
      assert.equal(await peer.delete(key), true)
      deleted = true
      assert.equal(await peer.load(key), undefined)
    } catch (error) {
      over = true
      throw error
    }
  }

  // All run to their end, so that after a failure none of them still works on a closed store. Half of the writers go by
  // the answer, and half of them load again; of each half, half use either handle.
  const writers = Array.from({ length: writing }, (_, n) =>
    write(n % 2 ? store : peer, n % 4 > 1).finally(() => writing--),
  )
  const ends = await Promise.allSettled([erase(), ...writers])
  for (const end of ends) if (end.status === 'rejected') throw end.reason
  assert.equal(await store.load(key), undefined)
  assert.equal(await peer.touch(key, later()), false)
}
