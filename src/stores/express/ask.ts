import { SessionError } from '../../errors.ts'
import { whenLate, type Until } from '../../deadline.ts'

/**
 * Makes one call of a callback-style store and settles by `until`: with what the first callback says, or with what the
 * call throws or its promise rejects with. `late` runs if the callback comes after the deadline.
 */
export function ask<Answer>(
  until: Until,
  call: (callback: (error?: unknown, answer?: Answer) => void) => unknown,
  late?: () => void,
): Promise<Answer | undefined> {
  const left = until - performance.now()
  const tooLate = (): Error =>
    new SessionError('ERR_SESSION_STORE_UNAVAILABLE', 'the express-session store did not call back in time')
  // The caller is told that it failed, so it must not happen now. A timer may be a millisecond early.
  if (left < 1) return Promise.reject(tooLate())
  return new Promise((resolve, reject) => {
    let isSettled = false
    let isOver = false
    const timer = whenLate(() => {
      isOver = !isSettled
      reject(tooLate())
    }, left)
    const settled = (): void => {
      isSettled = true
      clearTimeout(timer)
    }
    const fail = (error: unknown): void => {
      settled()
      reject(
        error instanceof Error ? error : new Error('the express-session store failed; see the cause', { cause: error }),
      )
    }
    const callback = (error?: unknown, answer?: Answer): void => {
      if (isOver) return late?.()
      if (error !== undefined && error !== null && error !== false) return fail(error)
      settled()
      resolve(answer)
    }
    try {
      // A store whose methods are async functions may reject instead of calling back.
      Promise.resolve(call(callback)).catch(fail)
    } catch (error) {
      fail(error)
    }
  })
}
