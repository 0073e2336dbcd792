import type { Store } from '../store.ts'

/**
 * Keeps nothing: every session lasts for the one request that made it, and no cookie ever finds a record.
 * For tests of an application that are not about its sessions.
 */
export function nullStore(): Store {
  return {
    load: () => undefined,
    save: (_key, text, expiresAt, expected) =>
      expected === undefined ? { saved: { text, version: 1, expiresAt } } : { gone: true },
    touch: () => false,
    delete: () => false,
  }
}
