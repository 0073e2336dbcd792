import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { storeConformance } from '../../src/tools/conformance.ts'
import type { Found, Listener, Store, SubjectIndex } from '../../src/store.ts'
import { memoryStore } from '../../src/stores/memory.ts'

/** What is called, and what is returned, of the store that a broken one is made of. */
type Whole = Required<Pick<Store, 'isCurrent' | 'keys' | 'prune' | 'close'>> & Store

const whole = (): Whole => memoryStore({ pruneInterval: 0 }) as Whole

/** The sentences that a store does not keep, of those that match. */
async function failuresOf(
  create: () => Store,
  { peer, among = /./ }: { peer?: (store: Store) => Store; among?: RegExp } = {},
): Promise<string[]> {
  const cases: { name: string; fn: () => Promise<void> | void }[] = []
  const add = (name: string, fn: () => Promise<void> | void): void => {
    if (among.test(name)) cases.push({ name, fn })
  }
  storeConformance(add, { name: 'it', create, ...(peer ? { peer } : {}) })
  const ends = await Promise.allSettled(cases.map(async ({ fn }) => fn()))
  return cases.flatMap(({ name }, n) => (ends[n]?.status === 'rejected' ? name.replace('it: ', '') : []))
}

describe('storeConformance', () => {
  it('finds nothing wrong with a store that keeps the contract, nor with one that keeps the least of it', async () => {
    assert.deepEqual(await failuresOf(whole), [])
    assert.deepEqual(
      await failuresOf(() => {
        const store = whole()
        return {
          load: (key) => store.load(key),
          save: (...save) => store.save(...save),
          touch: (...touch) => store.touch(...touch),
          delete: (...remove) => store.delete(...remove),
        }
      }),
      [],
    )
  })

  it('takes a store that answers by promises', async () => {
    const failures = await failuresOf(() => {
      const store = whole()
      return {
        load: async (key) => (await turn(), store.load(key)),
        save: async (...save) => (await turn(), store.save(...save)),
        touch: async (...touch) => (await turn(), store.touch(...touch)),
        delete: async (...remove) => (await turn(), store.delete(...remove)),
      }
    })
    assert.deepEqual(failures, [])
  })

  /** Every one of these faults would break a guarantee of the library; the kit must name at least this sentence. */
  function sees(fault: string, sentence: RegExp, breakIt: (store: Whole) => Partial<Store>): void {
    it(`sees ${fault}`, async () => {
      const broken = (): Store => {
        const store = whole()
        return { ...store, ...breakIt(store) }
      }
      assert.notDeepEqual(await failuresOf(broken, { among: sentence }), [])
    })
  }

  sees('a blind overwrite', /50 parallel writers/, (store) => ({
    save: async (key, text, expiresAt, expected) => {
      if (expected === undefined) return store.save(key, text, expiresAt, undefined)
      const current = await store.load(key)
      return current ? store.save(key, text, expiresAt, current) : { gone: true }
    },
  }))

  sees('a comparison that is not one step with the write', /50 parallel writers/, (store) => ({
    save: async (key, text, expiresAt, expected) => {
      const current = await store.load(key)
      if (expected && current && current.version !== expected.version) return { conflict: current }
      await turn()
      const meanwhile = await store.load(key)
      return store.save(key, text, expiresAt, expected && meanwhile)
    },
  }))

  sees('a save that makes a deleted record anew', /deleted under 20 writers/, (store) => ({
    save: async (key, text, expiresAt, expected) => {
      const answer = await store.save(key, text, expiresAt, expected)
      return answer.gone ? store.save(key, text, expiresAt, undefined) : answer
    },
  }))

  sees('a create that overwrites', /one succeeds and all others/, (store) => ({
    save: async (key, text, expiresAt, expected) => {
      const answer = await store.save(key, text, expiresAt, expected)
      return !expected && answer.conflict ? store.save(key, text, expiresAt, answer.conflict) : answer
    },
  }))

  sees('an index that drops notes by their instant', /keeps the note of what lives or is on its way/, (store) => {
    const index = store.subjects as SubjectIndex
    const untils = new Map<string, number>()
    const add: SubjectIndex['add'] = (subject, key, until) => {
      untils.set(`${subject} ${key}`, until)
      return index.add(subject, key, until)
    }
    const prune = async (): Promise<number> => {
      for (const [note, until] of untils) {
        const [subject, key] = note.split(' ') as [string, string]
        if (until <= Date.now()) await index.remove(subject, key)
      }
      return store.prune()
    }
    return { subjects: { ...index, add }, prune }
  })

  sees('an index that drops notes whose records are still to come', /keeps the note of what lives/, (store) => {
    const index = store.subjects as SubjectIndex
    const add: SubjectIndex['add'] = async (subject, key, until) => {
      for await (const noted of index.keys(subject)) if (!(await store.load(noted))) await index.remove(subject, noted)
      await index.add(subject, key, until)
    }
    return { subjects: { ...index, add } }
  })

  sees('what the caller knows believed without a question', /what the caller knows/, (store) => ({
    load: (key, known) => known ?? store.load(key),
  }))

  sees('what the caller knows believed while the record is there', /what the caller knows/, (store) => ({
    load: async (key, known) => ((await store.load(key)) ? (known ?? store.load(key)) : undefined),
  }))

  sees('a touch that creates', /touch creates nothing/, (store) => ({
    touch: async (key, expiresAt) => {
      if (!(await store.touch(key, expiresAt))) await store.save(key, '{}', expiresAt, undefined)
      return true
    },
  }))

  sees('a touch that counts as a new version', /touch moves the expiry/, (store) => ({
    touch: async (key, expiresAt) => {
      const current = await store.load(key)
      return current !== undefined && (await store.save(key, current.text, expiresAt, current)).saved !== undefined
    },
  }))

  sees('a touch that does nothing', /touch moves the expiry/, (store) => ({
    touch: async (key) => (await store.load(key)) !== undefined,
  }))

  sees('a conflict that does not show what is there', /of an older version/, (store) => ({
    save: async (key, text, expiresAt, expected) => {
      const answer = await store.save(key, text, expiresAt, expected)
      return expected && answer.conflict ? { conflict: expected } : answer
    },
  }))

  sees('a delete that always says yes', /deleted once/, (store) => ({
    delete: async (key) => (await store.delete(key), true),
  }))

  sees('a delete that does not look at the version', /a delete of an older version/, (store) => ({
    delete: (key) => store.delete(key),
  }))

  sees('a delete whose comparison is not one step with it', /a delete of the known version/, (store) => ({
    delete: async (key, expected) => {
      const current = await store.load(key)
      if (expected && current && current.version !== expected.version) return current
      await turn()
      return store.delete(key)
    },
  }))

  sees('a delete that minds a moved end', /whoever has moved its end/, (store) => ({
    delete: async (key, expected) => {
      const current = await store.load(key)
      return expected && current && current.expiresAt !== expected.expiresAt ? current : store.delete(key, expected)
    },
  }))

  sees('a touch that brings the end nearer', /touch never brings the end nearer/, (store) => ({
    touch: async (key, expiresAt) => {
      const current = await store.load(key)
      if (current && expiresAt < current.expiresAt) await store.save(key, current.text, expiresAt, current)
      return store.touch(key, expiresAt)
    },
  }))

  sees('an expiry that is ignored', /whose expiry has passed/, () => {
    const never = memoryStore({ pruneInterval: 0 })
    const far = Date.now() + 1e12
    return {
      load: (key) => never.load(key),
      save: (key, text, _expiresAt, expected) => never.save(key, text, far, expected),
      touch: (key) => never.touch(key, far),
      delete: (...remove) => never.delete(...remove),
    }
  })

  sees('an expiry that is rounded to the second', /kept to the millisecond/, (store) => ({
    touch: (key, expiresAt) => store.touch(key, Math.floor(expiresAt / 1000) * 1000),
  }))

  sees('a relative time to live that overflows', /kept to the millisecond/, (store) => {
    const MONTH = 30 * 24 * 60 * 60_000
    return {
      save: (key, text, expiresAt, expected) =>
        store.save(key, text, expiresAt - Date.now() > MONTH ? Date.now() - 1 : expiresAt, expected),
    }
  })

  sees('a version that does not grow', /under a higher version/, (store) => {
    const still = (found: Found): Found => ({ ...found, version: 1 })
    return {
      load: async (key) => {
        const found = await store.load(key)
        return found && still(found)
      },
      save: async (key, text, expiresAt, expected) => {
        const answer = await store.save(key, text, expiresAt, expected && (await store.load(key)))
        return answer.saved ? { saved: still(answer.saved) } : answer
      },
    }
  })

  const mangle = (what: string, sentence: RegExp, how: (text: string) => string): void =>
    sees(what, sentence, (store) => ({
      save: (key, text, expiresAt, expected) => store.save(key, how(text), expiresAt, expected),
    }))
  mangle('a text in Latin-1', /plane 0/, (text) => Buffer.from(text, 'latin1').toString('latin1'))
  mangle('a text of three-byte characters at most', /plane 1 /, (text) => text.replace(/[\u{10000}-\u{10ffff}]/gu, '?'))
  mangle('a text that is trimmed', /blanks/, (text) => text.trim())
  mangle('a text that ends at NUL', /NUL/, (text) => text.split('\0')[0]!)
  mangle('a text without its byte order mark', /byte order mark/, (text) => text.replace(/^\ufeff/, ''))
  mangle('a text that is parsed and written again', /an empty object|blanks|escapes/, (text) => {
    try {
      return JSON.stringify(JSON.parse(text))
    } catch {
      return text
    }
  })
  mangle('a text cut at 64 kB', /a million characters/, (text) => text.slice(0, 65_536))
  mangle('an empty text taken for absence', /an empty text/, (text) => text || 'null')

  sees('keys that are cut', /nothing to do with each other/, (store) => {
    const cut = (key: string): string => key.slice(0, 60)
    return {
      load: (key) => store.load(cut(key)),
      save: (key, text, expiresAt, expected) => store.save(cut(key), text, expiresAt, expected),
      touch: (key, expiresAt) => store.touch(cut(key), expiresAt),
      delete: (key, expected) => store.delete(cut(key), expected),
    }
  })

  sees('an isCurrent that is always true', /isCurrent/, () => ({ isCurrent: () => true }))
  sees('an isCurrent that is always false', /isCurrent/, () => ({ isCurrent: () => false }))
  sees('keys that lists the dead', /whose expiry has passed|keys, if offered/, (store) => {
    const all = new Set<string>()
    return {
      save: (key, text, expiresAt, expected) => (all.add(key), store.save(key, text, expiresAt, expected)),
      keys: async function* () {
        yield* all
      },
    }
  })
  sees('a prune that miscounts', /prune/, (store) => ({ prune: async () => (await store.prune()) + 1 }))
  sees('a prune that does nothing', /prune/, () => ({ prune: async () => 0 }))
  sees('an absence that is thrown', /absence is an answer/, (store) => ({
    load: async (key) => {
      const found = await store.load(key)
      if (found === undefined) throw new Error('not found')
      return found
    },
  }))

  describe('where there is a second handle', () => {
    it('sees a store whose handles do not share their data', async () => {
      assert.notDeepEqual(await failuresOf(whole, { peer: whole, among: /what is created is loaded/ }), [])
    })

    it('sees an isCurrent that knows only its own handle’s writes', async () => {
      const shared = new WeakMap<Store, Whole>()
      const handle = (store: Whole): Store => {
        const last = new Map<string, number>()
        const own: Store = {
          load: (key) => store.load(key),
          touch: (...touch) => store.touch(...touch),
          delete: (key, expected) => (last.delete(key), store.delete(key, expected)),
          save: async (key, ...rest) => {
            const answer = await store.save(key, ...rest)
            if (answer.saved) last.set(key, answer.saved.version)
            return answer
          },
          isCurrent: (key, found) => found.expiresAt > Date.now() && (last.get(key) ?? found.version) === found.version,
        }
        shared.set(own, store)
        return own
      }
      const failures = await failuresOf(() => handle(whole()), { peer: (store) => handle(shared.get(store)!) })
      assert.deepEqual(failures, ['isCurrent, if offered, is true for the newest state and false for any other'])
    })
  })

  describe('of a store that tells of writes', () => {
    /** A memory store that does tell, but for what `drop` keeps back. `lapses`: whether its link does with this save. */
    function telling(
      drop: (event: 'saved' | 'deleted') => boolean,
      vouches = true,
      lapses: () => boolean = () => false,
    ): Store {
      const store = whole()
      const listeners = new Set<Listener>()
      const link = { generation: 1, vouches: () => vouches }
      return {
        ...store,
        async save(key, ...rest) {
          const answer = await store.save(key, ...rest)
          if (lapses()) link.generation++
          if (answer.saved && !drop('saved')) for (const it of listeners) it.saved(key, answer.saved.version)
          return answer
        },
        async delete(key, expected) {
          const deleted = await store.delete(key, expected)
          if (deleted === true && !drop('deleted')) for (const it of listeners) it.deleted(key)
          return deleted
        },
        watch(listener) {
          listeners.add(listener)
          return { linkOf: () => link, close: async () => void listeners.delete(listener) }
        },
      }
    }
    const watching = 'watch, if offered, tells of every save and delete, and its link vouches for that'

    it('finds nothing wrong if it tells of all', async () => {
      assert.deepEqual(await failuresOf(() => telling(() => false)), [])
    })

    it('finds nothing wrong if the link lapses now and then, as on a busy machine, and what is saved then is not told', async () => {
      for (const lapsing of [1, 2, 3]) {
        let saves = 0
        const isLapsing = (): boolean => saves === lapsing
        const drop = (event: 'saved' | 'deleted'): boolean => event === 'saved' && isLapsing()
        const store = (): Store => telling(drop, true, () => ++saves === lapsing)
        assert.deepEqual(await failuresOf(store, { among: /watch/ }), [])
        assert.ok(saves > 3, 'the rule began again')
      }
    })

    it('sees a link that lapses with every write', async () => {
      const store = (): Store =>
        telling(
          () => false,
          true,
          () => true,
        )
      assert.deepEqual(await failuresOf(store, { among: /watch/ }), [watching])
    })

    it('sees saves and deletes that are kept back, and a link that never vouches', async (test) => {
      // The kit waits for what does not come, as long as no busy machine takes. Nobody waits here.
      test.mock.timers.enable({ apis: ['Date', 'setTimeout'], now: Date.now() })
      test.mock.method(performance, 'now', () => Date.now())
      const faults = [
        () => telling((event) => event === 'saved'),
        () => telling((event) => event === 'deleted'),
        () => telling(() => false, false),
      ]
      let seen: string[][] | undefined
      const looking = Promise.all(faults.map((create) => failuresOf(create, { among: /watch/ })))
      void looking.then((all) => (seen = all))
      while (!seen) {
        test.mock.timers.tick(1000)
        await turn()
      }
      assert.deepEqual(seen, [[watching], [watching], [watching]])
    })
  })

  it('closes what it opened, also after a failure', async () => {
    let open = 0
    const counted = (): Store => {
      open++
      return { ...whole(), load: () => assert.fail('broken'), close: async () => void open-- }
    }
    assert.notEqual((await failuresOf(counted, { peer: counted })).length, 0)
    assert.equal(open, 0)
  })
})

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
