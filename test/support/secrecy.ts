import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { SessionError, type SessionErrorCode } from '../../src/errors.ts'

/**
 * A check for `assert.throws` and `assert.rejects`: a SessionError of this code, of which nothing that a logger would
 * print (the message, the stack, the causes, every property) contains one of the secrets.
 */
export function discreet(code: SessionErrorCode, ...secrets: readonly string[]): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof SessionError, `expected a SessionError, and got ${String(error)}`)
    assert.equal(error.code, code)
    assertHides(error, ...secrets)
    return true
  }
}

/** Nothing that a logger would print of `thing` contains one of the secrets. */
export function assertHides(thing: unknown, ...secrets: readonly string[]): void {
  const shown = inspect(thing, {
    depth: Infinity,
    showHidden: true,
    maxStringLength: Infinity,
    maxArrayLength: Infinity,
  })
  for (const secret of secrets) {
    assert.ok(secret.length > 3, 'a secret this short would be found by chance')
    assert.ok(!shown.includes(secret), `a secret is told: ${shown}`)
  }
}
