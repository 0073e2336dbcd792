import { expiryRules } from './conformance/expiry.ts'
import { powerRules } from './conformance/powers.ts'
import { raceRules } from './conformance/races.ts'
import { recordRules } from './conformance/records.ts'
import type { Rule } from './conformance/support.ts'
import { textRules } from './conformance/texts.ts'
import type { Store } from '../store.ts'
import type { Awaitable, Milliseconds } from '../units.ts'

/** Registers one test: `test` of node:test or vitest, `it` of mocha, or anything of this form. */
export type ConformanceTest = (name: string, fn: () => Promise<void> | void) => unknown

/** How the kit makes the stores that it tests. */
export interface ConformanceOptions<S extends Store = Store> {
  /** Makes an empty store. The kit calls `create` once for each case. */
  create(): Awaitable<S>
  /**
   * Makes a second, independent handle onto the same data, as another process would have. With `peer`, the cases about
   * what others write use both handles. The kit closes the peer. Default: none, so the store is its own peer.
   */
  peer?(store: S): Awaitable<Store>
  /** Cleans up after a case. The store may be closed already. Default: calls the store's `close`, if it has one. */
  dispose?(store: S): Awaitable<void>
  /** The beginning of each case's name. Default: `store`. */
  name?: string
  /** How long after its `expiresAt` a record may still be found, in milliseconds. Default: 0. */
  expiryGranularity?: Milliseconds
}

/**
 * Registers the contract of a `Store` as tests. On a store that passes them, the library's guarantees hold: no lost
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
 * The cases about optional methods (`isCurrent`, `watch`, `keys`, `subjects`, `prune`, `ping`, `close`) pass if a store
 * does not have them. The cases about expiry each wait for some tenths of a second and `expiryGranularity`. No case
 * depends on another one, and all may run at once.
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
