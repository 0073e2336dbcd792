import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Diagnostics } from '../../src/diagnostics.ts'
import { cached } from '../../src/layers/cached.ts'
import type { Found, Store } from '../../src/store.ts'
import { standOf, type Stand } from '../../src/stores/moving/texts.ts'
import type { Key } from '../../src/units.ts'
import { later, savedOf } from '../support/stores/records.ts'
import { recordingStore, type RecordingStore } from '../support/stores/recording-store.ts'
import { keyFrom, nodes, ownerAfter, ownerBefore, servers, type Servers } from '../support/stores/resharding.ts'

/** What is on every stage: servers, a session on one of them, and a node, which may be broken, beside honest ones. */
interface Stage {
  readonly at: Servers<RecordingStore>
  /** Of a session that goes from server `two` to server `four`. */
  readonly key: Key
  /** The node of the second deploy that is looked at. */
  readonly node: Store
  /** Honest nodes of all deploys. */
  readonly others: ReturnType<typeof nodes>
}

/** The node, on servers that are broken in this way for it alone. */
function onBroken(at: Servers, broken: (server: Store) => Partial<Store>): Store {
  return nodes(Object.fromEntries(Object.entries(at).map(([name, server]) => [name, { ...server, ...broken(server) }])))
    .second
}

/** Ways to break a node, by what is wrong with it. */
const MUTANTS = {
  endsInNew: {
    what: 'a logout ends the session on its server of the new list only',
    make: (at, node) => ({ ...node, delete: (key) => at[ownerAfter(key)]!.delete(key) }),
  },
  endsInOld: {
    what: 'a logout ends the session on its server of the old list only',
    make: (at, node) => ({ ...node, delete: (key) => at[ownerBefore(key)]!.delete(key) }),
  },
  oldOwner: {
    what: 'a session is looked for by the old list only',
    make: (at, node) => ({ ...node, load: (key) => at[ownerBefore(key)]!.load(key) }),
  },
  newOwner: {
    what: 'a session is looked for by the new list only',
    make: (at, node) => ({ ...node, load: (key) => at[ownerAfter(key)]!.load(key) }),
  },
  unclaimed: {
    what: 'a session is made without a claim',
    make: (at, node) => ({
      ...node,
      save: (key, text, expiresAt, expected) =>
        (expected ? node : at[ownerAfter(key)]!).save(key, text, expiresAt, expected),
    }),
  },
  overwriting: {
    what: 'a move does not care which version it replaces',
    make: (at) =>
      onBroken(at, (server) => ({
        save: async (key, text, expiresAt, expected) =>
          server.save(key, text, expiresAt, expected && (await server.load(key))),
      })),
  },
  leftBehind: {
    what: 'a move leaves the session where it was as well',
    make: (at) =>
      onBroken(at, (server) => ({
        save: async (key, text, expiresAt, expected) => {
          const saved = { text, expiresAt, version: 1 }
          return standIn(saved) === 'note' ? { saved } : server.save(key, text, expiresAt, expected)
        },
      })),
  },
  unfinished: {
    what: 'a move that another node has not finished is taken for none',
    make: (at) =>
      onBroken(at, (server) => ({
        load: async (key) => {
          const found = await server.load(key)
          return found && standIn(found) === 'pending' ? undefined : found
        },
      })),
  },
  tooEarly: {
    what: 'a move that another node has only begun is taken for done',
    make: (at) =>
      onBroken(at, (server) => ({
        load: async (key) => {
          const found = await server.load(key)
          const stand = standOf(found)
          return found && stand?.moving === 'pending' ? { ...found, text: stand.text } : found
        },
      })),
  },
  oneLink: {
    what: 'a cached session is believed while one of its two servers is heard',
    make: (at, node) => ({
      ...node,
      watch(listener) {
        const watch = node.watch!(listener)
        const there = at['four']!.watch!({ saved() {}, deleted() {} })
        return { linkOf: (key) => there.linkOf(key), close: () => watch.close() }
      },
    }),
  },
} satisfies Record<string, { what: string; make: (at: Servers, node: Store) => Store }>

type MutantName = keyof typeof MUTANTS

function standIn(found: Found): Stand['moving'] | undefined {
  return standOf(found)?.moving
}

/** A node whose process dies before it has written the next record of this kind. */
function dyingBefore(at: Servers, kind: Stand['moving'] | 'record'): Store {
  return onBroken(at, (server) => ({
    save: async (key, text, expiresAt, expected) => {
      if ((standIn({ text, expiresAt, version: 1 }) ?? 'record') === kind) throw new Error('the process is dead')
      return server.save(key, text, expiresAt, expected)
    },
  }))
}

/** Schedules of a node beside others, each of which shows a mistake for certain. */
const PLAYS = {
  async 'found before it moves'({ key, node }) {
    assert.equal((await node.load(key))?.text, 'first')
  },
  async 'found after it has moved'({ key, node, others: { second } }) {
    savedOf(await second.save(key, 'second', later(), await second.load(key)))
    assert.equal((await node.load(key))?.text, 'second')
  },
  async 'signed out before it moves'({ key, node, others }) {
    await node.delete(key)
    for (const other of [others.first, others.second]) assert.equal(await other.load(key), undefined)
  },
  async 'signed out after it has moved'({ key, node, others }) {
    savedOf(await others.second.save(key, 'second', later(), await others.second.load(key)))
    await node.delete(key)
    for (const other of [others.first, others.second]) assert.equal(await other.load(key), undefined)
  },
  async 'made at once'({ node, others: { first } }) {
    const key = keyFrom('two', 'four')
    savedOf(await first.save(key, 'theirs', later(), undefined))
    assert.equal((await node.save(key, 'ours', later(), undefined)).conflict?.text, 'theirs')
  },
  async 'moved and written at once'({ key, node, others: { first } }) {
    const [ours, theirs] = [await node.load(key), await first.load(key)]
    savedOf(await first.save(key, 'theirs', later(), theirs))
    assert.equal((await node.save(key, 'ours', later(), ours)).conflict?.text, 'theirs')
  },
  async 'written by one who has read it before it moved'({ key, node, others: { first } }) {
    const theirs = await first.load(key)
    savedOf(await node.save(key, 'ours', later(), await node.load(key)))
    assert.equal((await first.save(key, 'theirs', later(), theirs)).conflict?.text, 'ours')
  },
  async 'moved by one who dies before the last step'({ at, key, node, others: { second } }) {
    const dying = dyingBefore(at, 'record')
    await assert.rejects(async () => dying.save(key, 'second', later(), await second.load(key)))
    assert.equal((await node.load(key))?.text, 'second')
  },
  async 'moved by one who dies before the second step'({ at, key, node, others: { first, second } }) {
    const dying = dyingBefore(at, 'note')
    await assert.rejects(async () => dying.save(key, 'second', later(), await second.load(key)))
    const seen = (await node.load(key))?.text
    assert.equal((await first.load(key))?.text, seen)
  },
  async 'cut off from the server that it is on'({ at, key, node, others: { old } }) {
    const bounds = { max: 10, maxBytes: 1_000_000, maxAge: 60_000, allowStale: false }
    const cache = cached(node, bounds, new Diagnostics('sid'))
    assert.equal((await cache.load(key))?.text, 'first')
    // What it would be told does not reach it.
    at['two']!.link.isVouching = false
    savedOf(await old.save(key, 'second', later(), await old.load(key)))
    assert.equal((await cache.load(key))?.text, 'second')
    await cache.close?.()
  },
} satisfies Record<string, (stage: Stage) => Promise<void>>

type PlayName = keyof typeof PLAYS

/** Each mutant, and the play that shows it. */
const SHOWN: Readonly<Record<MutantName, PlayName>> = {
  endsInNew: 'signed out before it moves',
  endsInOld: 'signed out after it has moved',
  oldOwner: 'found after it has moved',
  newOwner: 'found before it moves',
  unclaimed: 'made at once',
  overwriting: 'moved and written at once',
  leftBehind: 'written by one who has read it before it moved',
  unfinished: 'moved by one who dies before the last step',
  tooEarly: 'moved by one who dies before the second step',
  oneLink: 'cut off from the server that it is on',
}

async function perform(play: PlayName, mutant?: MutantName): Promise<void> {
  const at = servers(() => recordingStore({ power: 'watch' }))
  const others = nodes(at)
  const key = keyFrom('two', 'four')
  savedOf(await others.old.save(key, 'first', later(), undefined))
  const node = mutant ? MUTANTS[mutant].make(at, nodes(at).second) : others.second
  await PLAYS[play]({ at, key, node, others })
}

describe('A list of servers that changes, played step by step', () => {
  for (const play of Object.keys(PLAYS) as PlayName[]) it(`is right: ${play}`, () => perform(play))

  for (const [mutant, play] of Object.entries(SHOWN) as [MutantName, PlayName][]) {
    it(`would be noticed if ${MUTANTS[mutant].what}: ${play}`, () =>
      assert.rejects(perform(play, mutant), { code: 'ERR_ASSERTION', operator: 'strictEqual' }))
  }
})
