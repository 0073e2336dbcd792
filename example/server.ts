/**
 * Starts the site. From the environment:
 * - PORT (default 3000) and HOST (default localhost)
 * - SESSION_STORE: where sessions are kept, as a URL (default: files in ./.sessions)
 * - SESSION_KEY: the secret that signs the session cookie (default: one that is made at the first start, and kept), and
 *   SESSION_KEY_OLD: the one before it, while cookies that it signed are still about
 * - BEHIND_HTTPS=1: visitors come through a proxy that speaks https with them
 * - ENCRYPT=1: sessions are encrypted where they are kept
 * - PROCESS_NAME: what the footer calls this process, where several serve the site, and OWN_REDIS=1: their Redis serves
 *   nobody else (see two.ts)
 */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { isSessionError, type Sessions } from 'koa-server-session'
import { createApp } from './app.ts'
import { KEY_FILE, keptSigningKeys } from './signing-key.ts'
import { Team } from './under-the-hood/team.ts'

/** How long the requests under way may still take when the process is asked to end, in milliseconds. */
const PATIENCE = 10_000

async function main(): Promise<void> {
  const { PORT = '3000', HOST = 'localhost', SESSION_STORE, SESSION_KEY, SESSION_KEY_OLD } = process.env
  const kept = SESSION_KEY ? undefined : keptSigningKeys(KEY_FILE)
  const { app, sessions, hood } = createApp({
    keys: [...(kept?.keys ?? [SESSION_KEY]), SESSION_KEY_OLD],
    store: SESSION_STORE,
    encrypt: process.env.ENCRYPT === '1',
    isBehindHttps: process.env.BEHIND_HTTPS === '1',
    processName: process.env.PROCESS_NAME,
    hood: {
      keyFile: kept && !SESSION_KEY_OLD ? KEY_FILE : undefined,
      team: process.env.PROCESS_NAME && process.connected ? new Team(process.env.OWN_REDIS === '1') : undefined,
    },
  })
  app.on('error', (error: NodeJS.ErrnoException) => {
    // That a visitor has closed a tab which a stream went to is no error of the site.
    if (error.code !== 'ERR_STREAM_PREMATURE_CLOSE') console.error(error) // whole: Koa's own log leaves out the cause
  })

  const server = createServer(app.callback())
  if (process.env.PROCESS_NAME) server.maxRequestsPerSocket = 1 // so that each request may go to another process
  server.listen(Number(PORT), HOST)
  await once(server, 'listening')

  console.log(`The example is at http://${HOST}:${(server.address() as AddressInfo).port}`)
  console.log(
    SESSION_STORE
      ? 'Sessions are kept where SESSION_STORE says.'
      : 'Sessions are kept in .sessions; in Redis with: SESSION_STORE=redis://127.0.0.1:6379 npm start',
  )
  if (kept?.isNew) {
    console.log(
      `Made a key to sign cookies with, in ${KEY_FILE}; on a server, set SESSION_KEY to a secret of your own.`,
    )
  }

  void complainOf(sessions)

  await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')])
  const hasClosed = closed(server)
  await hood.close() // its streams would go on for as long as somebody watches
  await hasClosed
  await sessions.close() // last, because requests under way still save their sessions
}

/** Says at once if the store does not answer, so that no visitor is the first to find out. The site serves all the same. */
async function complainOf(sessions: Sessions): Promise<void> {
  if (!sessions.canList) return
  await sessions
    .list('nobody')
    .catch((error: Error) => console.error(`${error.message} The site tries again with each visit.`))
}

/** Lets the requests under way finish, and takes no new ones. */
async function closed(server: Server): Promise<void> {
  const impatience = setTimeout(() => server.closeAllConnections(), PATIENCE)
  // Browsers keep connections open; each goes as soon as it has nothing more to do.
  const tidying = setInterval(() => server.closeIdleConnections(), 50)
  server.close()
  await once(server, 'close')
  clearTimeout(impatience)
  clearInterval(tidying)
}

main().catch((error: unknown) => {
  console.error(explained(error))
  process.exit(1)
})

/** Mistakes in the settings in one sentence, anything else whole. */
function explained(error: unknown): unknown {
  if (isSessionError(error, 'ERR_SESSION_OPTION')) return error.message
  if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE')
    return 'This port is taken. Choose another: PORT=3001 npm start'
  return error
}
