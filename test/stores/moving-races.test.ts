import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { memoryStore, movingStore, type Found, type Store } from '../../src/index.ts'
import { isStand } from '../../src/stores/moving/texts.ts'
import { assertLinearizable, Chance, Interleaving, type Call, type Seen } from '../support/stores/interleaving.ts'
import { newKey, savedOf } from '../support/stores/records.ts'

/** How many orders are tried, and from which seed on. A longer search takes both from the environment. */
const ROUNDS = Number(process.env['MOVING_ROUNDS'] ?? 150)
const FIRST = Number(process.env['MOVING_FIRST'] ?? 0)
const FAR = Date.now() + 3_600_000

const seenOf = ({ text, expiresAt }: Found): Seen => ({ text, expiresAt })

/** A node that was deployed before the move: it knows the old store, and takes what a move leaves for no session. */
function oldNode(from: Store): Store {
  return {
    ...from,
    async load(key) {
      const found = await from.load(key)
      return found && isStand(found) ? undefined : found
    },
    async touch(key, expiresAt) {
      const found = await from.load(key)
      return found !== undefined && !isStand(found) && from.touch(key, expiresAt)
    },
  }
}

/** One process: calls at random, of which each knows what the ones before have answered. */
class Actor {
  readonly #store: Store
  readonly #key: string
  readonly #chance: Chance
  readonly #calls: Call[]
  readonly #clock: () => number
  readonly #versions: Map<number, string>
  readonly #newText: () => string
  #known: Found | undefined

  constructor(
    store: Store,
    key: string,
    chance: Chance,
    history: { calls: Call[]; clock: () => number; versions: Map<number, string>; newText: () => string },
  ) {
    this.#store = store
    this.#key = key
    this.#chance = chance
    this.#calls = history.calls
    this.#clock = history.clock
    this.#versions = history.versions
    this.#newText = history.newText
  }

  async act(turn: () => Promise<void>): Promise<void> {
    const method = this.#chance.of(['load', 'save', 'save', 'save', 'touch', 'delete'] as const)
    await this[method](turn)
  }

  async load(turn: () => Promise<void>): Promise<void> {
    const call: Call = { method: 'load', ...this.#begin() }
    this.#calls.push(call)
    const found = await this.#store.load(this.#key, this.#chance.of([undefined, this.#known]))
    await turn()
    this.#learn(found)
    Object.assign(call, { answer: found ? seenOf(found) : 'none', ended: this.#clock() })
  }

  async save(turn: () => Promise<void>): Promise<void> {
    const known = this.#chance.below(5) === 0 ? undefined : this.#known
    const made = { text: this.#newText(), expiresAt: FAR + this.#chance.below(1000) }
    const call: Call = { method: 'save', expected: known?.text, made, ...this.#begin() }
    this.#calls.push(call)
    const { saved, conflict } = await this.#store.save(this.#key, made.text, made.expiresAt, known)
    await turn()
    if (conflict && isStand(conflict)) return this.#forget(call)
    this.#learn(saved ?? conflict)
    if (saved && known) assert.ok(saved.version > known.version, 'the version grows')
    const answer = saved ? 'saved' : conflict ? seenOf(conflict) : 'gone'
    Object.assign(call, { answer, ended: this.#clock() })
  }

  async touch(turn: () => Promise<void>): Promise<void> {
    const expiresAt = FAR + this.#chance.below(2000)
    const call: Call = { method: 'touch', expiresAt, ...this.#begin() }
    this.#calls.push(call)
    const answer = await this.#store.touch(this.#key, expiresAt)
    await turn()
    Object.assign(call, { answer, ended: this.#clock() })
  }

  async delete(turn: () => Promise<void>): Promise<void> {
    const known = this.#chance.of([undefined, this.#known])
    const call: Call = { method: 'delete', expected: known?.text, ...this.#begin() }
    this.#calls.push(call)
    const deleted = await this.#store.delete(this.#key, known)
    await turn()
    if (typeof deleted === 'object' && isStand(deleted)) return this.#forget(call)
    if (typeof deleted === 'object') this.#learn(deleted)
    Object.assign(call, { answer: typeof deleted === 'object' ? seenOf(deleted) : deleted, ended: this.#clock() })
  }

  #begin(): { began: number; ended: number } {
    return { began: this.#clock(), ended: Infinity }
  }

  /** An old node has met what a move has left: it has written nothing, and learned nothing. */
  #forget(call: Call): void {
    this.#calls.splice(this.#calls.indexOf(call), 1)
  }

  #learn(found: Found | undefined): void {
    this.#known = found
    if (!found) return
    const text = this.#versions.get(found.version) ?? found.text
    assert.equal(text, found.text, 'a version is used once')
    this.#versions.set(found.version, text)
  }
}

/** One round: some processes at one session, in an order that the seed decides, and then a look at what is left. */
async function play(seed: number, modes: readonly ('from' | 'to' | 'old')[], kills: number): Promise<void> {
  const chance = new Chance(seed)
  const [from, to] = [memoryStore({ pruneInterval: 0 }), memoryStore({ pruneInterval: 0 })]
  const key = newKey()
  let now = 0
  let texts = 0
  const history = {
    calls: [] as Call[],
    clock: () => now++,
    versions: new Map<number, string>(),
    newText: () => `text ${texts++}`,
  }
  const first = chance.of(['none', 'from', 'from', modes.includes('to') ? 'to' : 'none'] as const)
  if (first !== 'none') savedOf(await (first === 'from' ? from : to).save(key, 'first', FAR, undefined))
  const interleaving = new Interleaving(chance)
  const handleOf = (mode: 'from' | 'to' | 'old', name: string): Store => {
    const [here, there] = [interleaving.over(from, name), interleaving.over(to, name)]
    return mode === 'old' ? oldNode(here) : movingStore(here, there, { writesTo: mode })
  }
  let failure: unknown
  modes.forEach((mode, index) => {
    const name = `${mode} ${index}`
    const actor = new Actor(handleOf(mode, name), key, chance, history)
    const turn = (): Promise<void> => interleaving.turn(name)
    void (async () => {
      await actor.load(turn)
      for (let calls = 1 + chance.below(3); calls > 0; calls--) await actor.act(turn)
    })().catch((error: unknown) => (failure ??= error))
  })
  await interleaving.run(kills, () => {
    const [here, there] = [from.load(key) as Found | undefined, to.load(key) as Found | undefined]
    const isLiving = (found: Found | undefined): boolean => found !== undefined && !isStand(found)
    if (isLiving(here) && isLiving(there)) failure ??= new Error('it lives in both stores')
  })
  if (failure) throw failure
  // What is left can be read, written and ended by nodes of both kinds.
  for (const mode of modes.includes('to') ? (['from', 'to', 'to'] as const) : (['from'] as const)) {
    const actor = new Actor(movingStore(from, to, { writesTo: mode }), key, chance, history)
    const turn = async (): Promise<void> => {}
    await actor.load(turn)
    await actor.save(turn)
    await actor.load(turn)
    if (chance.below(2)) await actor.delete(turn)
  }
  assertLinearizable(history.calls, first === 'none' ? undefined : { text: 'first', expiresAt: FAR })
}

describe('movingStore(from, to), whatever the order of the steps of several processes', () => {
  for (const [who, modes] of [
    ['three that move sessions', ['to', 'to', 'to']],
    ['two that move sessions and one that does not yet', ['to', 'to', 'from']],
    ['one that moves sessions and two that do not yet', ['to', 'from', 'from']],
    ['one that knows the old store only, and two that know both', ['old', 'from', 'from']],
  ] as const) {
    for (const kills of [0, 8]) {
      it(`answers ${who} as one store would${kills > 0 ? ', although some are killed' : ''}`, async () => {
        for (let seed = FIRST; seed < FIRST + ROUNDS; seed++) {
          try {
            await play(seed, modes, kills)
          } catch (error) {
            throw new Error(`with the seed ${seed}`, { cause: error })
          }
        }
      })
    }
  }
})
