import { expiryRules } from './conformance/expiry.ts'
import { powerRules } from './conformance/powers.ts'
import { raceRules } from './conformance/races.ts'
import { recordRules } from './conformance/records.ts'
import type { Rule } from './conformance/support.ts'
import { textRules } from './conformance/texts.ts'
import type { Store } from './store.ts'
import type { Awaitable, Milliseconds } from './units.ts'

/** Registers one test: `test` of node:test or vitest, `it` of mocha, or anything of this form. */
export type ConformanceTest = (name: string, fn: () => Promise<void> | void) => unknown

/** How the kit gets at the store under test. */
export interface ConformanceOptions<S extends Store = Store> {
  /** Makes an empty store. Called once per case. */
  create(): Awaitable<S>
  /**
   * Makes a second, independent handle onto the same data, as another process would have. With it, the cases about
   * what others write cross from handle to handle. The kit closes it.
   */
  peer?(store: S): Awaitable<Store>
  /** What to do with a store after its case; it may be closed already. Default: its `close`, if it has one. */
  dispose?(store: S): Awaitable<void>
  /** What the cases' names begin with. Default: `store`. */
  name?: string
  /** How late a record may disappear after its `expiresAt`. Default: 0. */
  expiryGranularity?: Milliseconds
}

/**
 * The contract of a `Store` as tests. A store that passes them is one on which the library's guarantees hold: no lost
 * update, no session that comes back after its logout, no timeout but the record's own.
 *
 * ```ts
 * import { test } from 'node:test'
 * import { memoryStore } from 'koa-server-session'
 * import { storeConformance } from 'koa-server-session/conformance'
 *
 * storeConformance(test, { name: 'memoryStore', create: () => memoryStore() })
 * ```
 *
 * The cases about optional powers (`isCurrent`, `watch`, `keys`, `prune`, `ping`, `close`) pass where a store does not
 * offer them. The cases about expiry wait for it, for some tenths of a second and `expiryGranularity` each; no case
 * depends on another, and all may run at once.
 */
export function storeConformance<S extends Store>(test: ConformanceTest, options: ConformanceOptions<S>): void {
  const { expiryGranularity = 0, name = 'store' } = options

  const rule: Rule = (sentence, check) => {
    test(`${name}: ${sentence}`, async () => {
      const store = await options.create()
      let peer: Store | undefined
      try {
        peer = await options.peer?.(store)
        await check(store, peer ?? store)
      } finally {
        await peer?.close?.()
        await (options.dispose ? options.dispose(store) : store.close?.())
      }
    })
  }

  recordRules(rule)
  textRules(rule)
  expiryRules(rule, expiryGranularity)
  raceRules(rule)
  powerRules(rule, expiryGranularity, options.dispose === undefined)
}
