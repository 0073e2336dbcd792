import { createHash, randomBytes } from 'node:crypto'
import { digestOf } from '../../src/record/digest.ts'
import { format, parse } from '../../src/record/format.ts'
import type { Found, Link, Saved, Store, SubjectIndex } from '../../src/store.ts'
import { BEAT_HERE, DELETE, SAVE, type Script } from '../../src/stores/redis/scripts.ts'
import type { Key, SubjectName } from '../../src/units.ts'

/** Ways to break the library, each of which the checker must notice. */
export const MUTANTS = {
  noLease: 'the cache is believed however long nothing was heard',
  sharedLease: 'the cache is believed while any master of the Cluster is heard',
  ownOrder: 'a server is known by its place in the list that a node has, and not by its name',
  stickyOwner: 'a key is believed to be with the master that had it first',
  keptGeneration: 'what was cached before something changed is believed again',
  keptEpoch: 'a server that has forgotten everything is believed to know it all',
  noToken: 'an answer is kept although its key was written while it was under way',
  noPublish: 'the scripts tell nobody what they write',
  blindOverwrite: 'a save does not care which version it replaces',
  recreating: 'a save makes the record anew if it is gone',
  goneOnReplica: 'the scripts answer "gone" without a write, also where they may not write',
  alwaysCurrent: 'the store calls every cached entry current',
  believeKnown: 'what the cache knows is believed without a question to the store',
  neverHeld: 'the store says of each session that its cookie has not come back',
  successorStays: 'a session whose cookie has not come back cannot be deleted',
  unheldStays: 'that the cookie of a session has come back is never stored',
  anyDigest: 'the digests of what was carried over fit whatever is there',
  emptyTouch: 'an extension is acknowledged and not stored',
  emptyDelete: 'the end of a session as it was seen is acknowledged and not stored',
  notedOnce: 'the note of a session is not renewed',
  ownClock: 'a note is taken back because its session seems to have expired',
} as const

export type MutantName = keyof typeof MUTANTS

/** The store, broken in this way. The broken scripts are those of the whole process. */
export function mutate(store: Store, mutant: MutantName | undefined): Store {
  switch (mutant) {
    case undefined:
    case 'ownOrder': // the place of the store is broken
      return store
    case 'noLease':
      return withLinks(store, (link) => ({
        get generation() {
          return link.generation
        },
        vouches: () => true,
        bound: link.bound,
      }))
    case 'sharedLease':
      return withLinks(store, (link, all) => ({
        get generation() {
          return link.generation
        },
        vouches: () => all().some((other) => other.vouches()),
        bound: link.bound,
      }))
    case 'stickyOwner':
      return withStickyLinks(store)
    case 'keptGeneration':
      return withLinks(store, (link) => ({ generation: 0, vouches: () => link.vouches(), bound: link.bound }))
    case 'keptEpoch':
      rewrite(BEAT_HERE, "redis.call('GET', KEYS[1])", "'always'")
      return store
    case 'noToken':
      return deafWhileLoading(store)
    case 'noPublish':
      for (const { publishing, publishingHere } of [SAVE, DELETE]) {
        for (const script of [publishing, publishingHere]) rewrite(script, "if ARGV[2] == '' then", 'if true then')
      }
      return store
    case 'blindOverwrite':
      return { ...store, save: (...args) => overwrite(store, ...args) }
    case 'recreating':
      return {
        ...store,
        async save(key, text, expiresAt, expected) {
          const saved = await store.save(key, text, expiresAt, expected)
          return saved.gone ? store.save(key, text, expiresAt, undefined) : saved
        },
      }
    case 'goneOnReplica':
      rewrite(
        SAVE.publishing,
        "if held then redis.call('SETRANGE', KEYS[1], 0, '') else redis.call('DEL', KEYS[1]) end",
        '',
      )
      return store
    case 'neverHeld':
      return {
        ...store,
        async load(key) {
          const found = await store.load(key)
          if (!found?.text.startsWith('{"format"') || found.text.includes('"unheld"')) return found
          return { ...found, text: found.text.replace(',"data":', ',"unheld":[],"data":') }
        },
      }
    case 'successorStays':
      return {
        ...store,
        async delete(key, expected) {
          return (await store.load(key))?.text.includes('"unheld"') === true || store.delete(key, expected)
        },
      }
    case 'unheldStays':
      return neverCleared(store)
    case 'anyDigest':
      return {
        ...store,
        async load(key) {
          const found = await store.load(key)
          if (!found?.text.includes('"unheld"')) return found
          const record = parse(found.text)
          const unheld = Array.from(record.entries, ([name, entry]) => digestOf(name, entry))
          return { ...found, text: format({ ...record, unheld }), parsed: undefined }
        },
      }
    case 'emptyTouch':
      return { ...store, touch: async (key) => (await store.load(key)) !== undefined }
    case 'emptyDelete':
      return { ...store, delete: (key, expected) => expected !== undefined || store.delete(key) }
    case 'notedOnce':
      return withIndex(store, (index) => ({ ...index, add: addedTwice(index) }))
    case 'ownClock':
      return withIndex(store, (index) => ({ ...index, keys: (subject) => unexpired(store, index, subject) }))
    case 'believeKnown':
      return { ...store, load: (key, known, largest) => known ?? store.load(key, known, largest) }
    case 'alwaysCurrent':
      return { ...store, isCurrent: () => true }
  }
}

/** The place of the sessions of several servers, broken in this way. */
export function misplaced<Place extends { readonly url: string }>(place: Place, mutant: MutantName | undefined): Place {
  if (mutant !== 'ownOrder') return place
  const names = /names=([^&]*)/.exec(place.url)?.[1]?.split(',') ?? []
  return { ...place, url: place.url.replace(/names=[^&]*/, `names=${names.toSorted().join()}`) }
}

function neverCleared(store: Store): Store {
  return {
    ...store,
    save(key, text, expiresAt, expected) {
      const before = expected?.text.startsWith('{"format"') ? parse(expected.text).unheld : undefined
      const isRecord = before !== undefined && text.startsWith('{"format"')
      return store.save(key, isRecord ? format({ ...parse(text), unheld: before }) : text, expiresAt, expected)
    },
  }
}

function withIndex(store: Store, wrap: (index: SubjectIndex) => SubjectIndex): Store {
  return store.subjects ? { ...store, subjects: wrap(store.subjects) } : store
}

/** Before the save that makes a session the subject's, and after it. */
function addedTwice(index: SubjectIndex): SubjectIndex['add'] {
  const times = new Map<Key, number>()
  return (subject, key, until) => {
    const added = times.get(key) ?? 0
    times.set(key, added + 1)
    return added < 2 ? index.add(subject, key, until) : undefined
  }
}

async function* unexpired(store: Store, index: SubjectIndex, subject: SubjectName): AsyncGenerator<Key> {
  for await (const key of index.keys(subject)) {
    if (await store.load(key)) yield key
    else await index.remove(subject, key)
  }
}

/** Keys that lie on all masters of a Cluster. */
const EVERYWHERE: readonly Key[] = Array.from({ length: 64 }, () => randomBytes(32).toString('hex'))

/** `wrap` is also given a way to all links that there are. */
function withLinks(store: Store, wrap: (link: Link, all: () => Link[]) => Link): Store {
  const wrapped = new WeakMap<Link, Link>()
  return {
    ...store,
    watch(listener) {
      const watch = store.watch!(listener)
      const all = (): Link[] => EVERYWHERE.map((key) => watch.linkOf(key))
      return {
        linkOf(key) {
          const link = watch.linkOf(key)
          const known = wrapped.get(link)
          if (known) return known
          const made = wrap(link, all)
          wrapped.set(link, made)
          return made
        },
        close: () => watch.close(),
      }
    },
  }
}

/** Each key keeps the link that vouched for it first. */
function withStickyLinks(store: Store): Store {
  return {
    ...store,
    watch(listener) {
      const watch = store.watch!(listener)
      const first = new Map<Key, Link>()
      return {
        linkOf(key) {
          const link = first.get(key) ?? watch.linkOf(key)
          if (link.vouches()) first.set(key, link)
          return link
        },
        close: () => watch.close(),
      }
    },
  }
}

/** What is heard of a key while it is loaded would spoil the load's token: here the cache does not hear it. */
function deafWhileLoading(store: Store): Store {
  const loading = new Map<Key, number>()
  return {
    ...store,
    async load(key) {
      loading.set(key, (loading.get(key) ?? 0) + 1)
      try {
        return await store.load(key)
      } finally {
        loading.set(key, loading.get(key)! - 1)
      }
    },
    watch: (listener) =>
      store.watch!({
        saved: (key, version) => void (loading.get(key) || listener.saved(key, version)),
        deleted: (key) => void (loading.get(key) || listener.deleted(key)),
      }),
  }
}

async function overwrite(
  store: Store,
  key: Key,
  text: string,
  expiresAt: number,
  expected: Found | undefined,
): Promise<Saved> {
  for (let known = expected; ;) {
    const saved = await store.save(key, text, expiresAt, known)
    if (saved.saved) return saved
    known = saved.conflict
  }
}

const originals = new Map<Script, Script>()

/** Undoes what a mutant did to the scripts of this process. */
export function restoreScripts(): void {
  for (const [script, original] of originals) Object.assign(script, original)
  originals.clear()
}

function rewrite(script: Script, from: string, to: string): void {
  if (originals.has(script)) return // by another node of this process
  if (!script.lua.includes(from)) throw new Error(`the script has no ${from} any more: this mutant would be no mutant`)
  originals.set(script, { ...script })
  const lua = script.lua.replaceAll(from, to)
  Object.assign(script, { lua, sha: createHash('sha1').update(lua).digest('hex') })
}
