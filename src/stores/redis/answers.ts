import { SessionError } from '../../errors.ts'

/** Whether the server itself said no. */
export function isAnswer(error: unknown): error is Error {
  return error instanceof Error && (error.name === 'ReplyError' || isAnswer(error.cause))
}

/** A connection was lost while a command waited for its answer: what has become of the command is not known. */
export class ConnectionLost extends Error {
  override readonly name: string = 'ConnectionLost'
}

/** Whether there is no answer because there is no connection any more. */
export function isLoss(error: unknown): boolean {
  return error instanceof ConnectionLost || (error instanceof Error && error.name === 'MaxRetriesPerRequestError')
}

/** What the server said, if it was the server that said no. */
export function answerOf(error: unknown): string | undefined {
  if (!isAnswer(error)) return undefined
  return error.name === 'ReplyError' ? error.message : answerOf(error.cause)
}

/** Whether the server, which therefore did nothing, is not or not now the one to be asked for the key. */
export function isElsewhere(error: unknown): boolean {
  return /^(?:MOVED|ASK|TRYAGAIN|CLUSTERDOWN|MASTERDOWN|READONLY|LOADING)\b/.test(answerOf(error) ?? '')
}

/** Whether the server does not let this user do it. */
export function isForbidden(answer: string): boolean {
  return /^NOPERM|user executing the script|ACL failure/.test(answer)
}

/**
 * The error as the store throws it: with the words of the server, and without the arguments of the command that it
 * refused. `rights`: what the server must allow this user.
 */
export function explained(error: unknown, rights: string): Error {
  const bare = withoutArguments(error)
  if (!(bare instanceof Error)) return new SessionError('ERR_SESSION_STORE_UNAVAILABLE', 'Redis failed')
  if (bare.name !== 'ReplyError') return bare
  const sentence = `Redis answered "${bare.message}"${isForbidden(bare.message) ? `; its user needs the rights ${rights}` : ''}`
  return new SessionError('ERR_SESSION_STORE_UNAVAILABLE', sentence, { cause: bare })
}

/** ioredis attaches the failed command to its errors, and Redis quotes it: a session's text, or a refused password. */
export function withoutArguments<T>(error: T): T {
  let inner: unknown = error
  for (let depth = 0; depth < 5 && inner instanceof Error; depth++) {
    const carrier: Error & { command?: unknown; lastNodeError?: unknown } = inner
    delete carrier.command
    if (carrier.name === 'ReplyError') shorten(carrier)
    inner = carrier.cause ?? carrier.lastNodeError
  }
  return error
}

/** Removes what follows `with args beginning with`, from the stack too. */
function shorten(error: Error): void {
  const [message = ''] = error.message.split(', with args')
  if (message === error.message) return
  error.stack = error.stack?.replace(error.message, message) ?? ''
  error.message = message
}
