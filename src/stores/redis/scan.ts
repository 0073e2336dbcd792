import { SessionError } from '../../errors.ts'

/**
 * What SCAN or one of its kind names, reply by reply. `ask` sends the command with the cursor that it is given.
 *
 * Rejects with `ERR_SESSION_STORE_UNAVAILABLE` if a reply has another form than Redis gives it, and if the server comes
 * back to a cursor: a scan is without memory, so the same cursor leads to the same replies, and the last one never comes.
 * To notice that, one cursor is remembered for as many replies as came before it (Brent's way to find a cycle), and not
 * all of them.
 */
export async function* scan(
  command: 'SCAN' | 'ZSCAN',
  ask: (cursor: string) => Promise<unknown>,
): AsyncGenerator<readonly string[]> {
  let cursor = '0'
  let remembered: string | undefined
  let replies = 0
  let rememberAt = 1
  do {
    const reply = await ask(cursor)
    if (!isReply(reply)) throw refused(`${command} with something else than a cursor and a list of names`)
    const [next, names] = reply
    yield names
    if (next === remembered) throw refused(`${command} with the same cursor again, so the list would never end`)
    if (++replies === rememberAt) {
      remembered = next
      rememberAt *= 2
    }
    cursor = next
  } while (cursor !== '0')
}

function isReply(reply: unknown): reply is [cursor: string, names: string[]] {
  if (!Array.isArray(reply) || reply.length !== 2) return false
  const [cursor, names] = reply as unknown[]
  return typeof cursor === 'string' && Array.isArray(names) && names.every((name) => typeof name === 'string')
}

function refused(what: string): SessionError {
  return new SessionError(
    'ERR_SESSION_STORE_UNAVAILABLE',
    `the server answered ${what}. Is it Redis, or a proxy that does not know this command?`,
  )
}
