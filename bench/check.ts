import { Jar, getOnce } from './http.ts'
import type { Server } from './processes.ts'
import { userName, type Scenario } from './scenarios.ts'

/**
 * Whether this server does what a scenario measures: a session persists, its values are right, two users are apart.
 * `undefined`, or what is wrong; such a server is not timed.
 */
export async function whatIsWrong(server: Server, scenario: Scenario): Promise<string | undefined> {
  try {
    return await (server.variant.isBare ? checkBare(server, scenario) : checkSessions(server, scenario))
  } catch (error) {
    return (error as Error).message
  }
}

async function checkBare({ port }: Server, { path }: Scenario): Promise<string | undefined> {
  const { status } = await getOnce(port, `${path}?user=user-0&key=k1&n=1`, new Jar())
  return status === 200 ? undefined : `status ${status}`
}

async function checkSessions({ port }: Server, { size, path }: Scenario): Promise<string | undefined> {
  const jars = [new Jar(), new Jar(), new Jar()] as const
  const [first, second, stranger] = jars
  const names = [userName(900_001), userName(900_002)] as const
  const wrongs: string[] = []
  async function expect(what: string, jar: Jar, request: string, value: unknown): Promise<void> {
    const answer = await getOnce(port, request, jar)
    if (answer.status !== 200) wrongs.push(`${what}: status ${answer.status}`)
    else if (answer.value !== value) wrongs.push(`${what}: another value than was stored`)
  }
  await expect('login', first, `/login?user=${names[0]}&size=${size}`, names[0])
  await expect('login', second, `/login?user=${names[1]}&size=${size}`, names[1])
  for (let turn = 0; turn < 2; turn++) {
    await expect('a session is read again', first, '/read', names[0])
    await expect('two users are apart', second, '/read', names[1])
    await expect('an object is read', second, '/object', `Name of ${names[1]}`)
  }
  await expect('a key is written', first, '/set?key=k1&n=7', '7')
  await expect('what was written is there', first, '/count', 1)
  await expect('and nowhere else', second, '/count', 0)
  await expect('a stranger has no session', stranger, '/read', null)
  await expect('nor after an anonymous request', stranger, '/anonymous', 'user-0')
  if (path === '/login') {
    const before = first.header
    await expect('login again', first, `/login?user=${names[0]}&size=${size}`, names[0])
    if (before === first.header) wrongs.push('login again: the id is the same')
    await expect('the new session is read', first, '/read', names[0])
  }
  return wrongs.length > 0 ? wrongs.join('; ') : undefined
}

/** What became of the two famous races. */
export interface Races {
  /** Of `PARALLEL_WRITERS` keys set by as many parallel requests: how many are there afterwards. */
  readonly survivors: number
  /** Whether a visitor who logged out during a slow request is logged in once that request has ended. */
  readonly comesBack: boolean
  /** What a request with the cookie from before the logout finds, although the visitor logged out. */
  readonly oldCookieWorks: boolean
}

export const PARALLEL_WRITERS = 50
/** What a handler waits for a database, between its first look at the session and the answer. */
const HANDLER_WAITS = 20

export async function raceThrough(server: Server): Promise<Races> {
  const { port } = server
  const jar = new Jar()
  await getOnce(port, `/login?user=${userName(900_003)}&size=0`, jar)
  await getOnce(port, '/read', jar)
  // All with the cookie that the browser had when it sent them; it takes the cookies of the answers as they come.
  const writers = Array.from({ length: PARALLEL_WRITERS }, async (_, number) => {
    const { cookies } = await getOnce(port, `/set?key=k${number}&n=${number}&wait=${HANDLER_WAITS}`, copyOf(jar))
    jar.take(cookies)
  })
  await Promise.all(writers)
  const survivors = Number((await getOnce(port, '/count', jar)).value)

  const visitor = new Jar()
  await getOnce(port, `/login?user=${userName(900_004)}&size=0`, visitor)
  await getOnce(port, '/read', visitor)
  const before = copyOf(visitor)
  const entered = server.entered()
  const slow = getOnce(port, '/slow', copyOf(visitor))
  await entered
  await getOnce(port, '/logout', visitor)
  await server.release()
  visitor.take((await slow).cookies)
  return {
    survivors,
    comesBack: (await getOnce(port, '/read', visitor)).value !== null,
    oldCookieWorks: (await getOnce(port, '/read', before)).value !== null,
  }
}

function copyOf(jar: Jar): Jar {
  const copy = new Jar()
  copy.take(jar.header.slice('Cookie: '.length, -2).split('; '))
  return copy
}
