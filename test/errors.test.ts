import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SessionError, isSessionError } from '../src/errors.ts'

describe('SessionError', () => {
  it('is an Error with a code, a sentence and what caused it', () => {
    const cause = new Error('connection refused')
    const error = new SessionError('ERR_SESSION_STORE_UNAVAILABLE', 'The store did not answer.', { cause })
    assert.ok(error instanceof Error)
    assert.equal(error.code, 'ERR_SESSION_STORE_UNAVAILABLE')
    assert.equal(error.cause, cause)
    assert.equal(String(error), 'SessionError: The store did not answer.')
  })

  it('gives Koa the status that fits its code, and no message for the visitor but that of a missing proof', () => {
    assert.equal(new SessionError('ERR_SESSION_GONE', '').status, 409)
    assert.equal(new SessionError('ERR_SESSION_BUSY', '').status, 503)
    assert.equal(new SessionError('ERR_SESSION_STORE_UNAVAILABLE', '').status, 503)
    assert.equal(new SessionError('ERR_SESSION_OPTION', '').status, 500)
    assert.equal(new SessionError('ERR_SESSION_PROOF', '').status, 403)
    assert.equal(new SessionError('ERR_SESSION_GONE', '').expose, false)
    assert.equal(new SessionError('ERR_SESSION_PROOF', '').expose, true)
  })
})

describe('isSessionError(error, code)', () => {
  it('tells the errors of this library from all others, and one code from another', () => {
    const error: unknown = new SessionError('ERR_SESSION_GONE', '')
    assert.equal(isSessionError(error), true)
    assert.equal(isSessionError(error, 'ERR_SESSION_GONE'), true)
    assert.equal(isSessionError(error, 'ERR_SESSION_BUSY'), false)
    assert.equal(isSessionError(Object.assign(new Error(), { code: 'ERR_SESSION_GONE' })), false)
    assert.equal(isSessionError(undefined), false)
  })
})
