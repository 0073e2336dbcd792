import type Router from 'koa-router'
import type { Sessions, Store } from 'koa-server-session'
import { Journal } from './journal.ts'
import { leversOf } from './levers.ts'
import { ASSETS, EVENTS } from './paths.ts'
import { answersAtOnce, recordReader } from './record.ts'
import { hoodRoutes } from './routes.ts'
import { Streams } from './streams.ts'
import type { Team } from './team.ts'
import { watching, type Watching } from './watching.ts'

export interface HoodOptions {
  /** Where the site keeps signing keys of its own. Absent: nobody changes them here. */
  keyFile?: string | undefined
  /** The other processes that serve the site. Absent: there is none. */
  team?: Team | undefined
}

/** The page /under-the-hood, and what it needs of the rest of the site. */
export interface Hood extends Pick<Watching, 'above' | 'below'> {
  readonly router: Router
  /** Ends the streams. No new one begins. */
  close(): Promise<void>
}

/** `store`: what the sessions are kept in, as `session()` takes it. */
export function underTheHood(
  sessions: Sessions,
  options: HoodOptions & { store: Store | string | undefined; processName: string | undefined },
): Hood {
  const { store, processName, keyFile, team } = options
  const journal = new Journal(processName, team && ((entry) => team.tell(entry)))
  team?.onEntry((entry) => journal.hear(entry))
  const reader = recordReader(store)
  const streams = new Streams(journal, reader)
  const watched = watching(journal, {
    skips: (ctx) => ctx.path === EVENTS || ASSETS.includes(ctx.path),
    storeAnswersAtOnce: answersAtOnce(store),
    by: processName,
  })
  return {
    above: watched.above,
    below: watched.below,
    router: hoodRoutes({
      journal,
      reader,
      streams,
      levers: leversOf(sessions, keyFile, team),
      // Of several processes, none knows how many of the requests come to it.
      patience: team ? 300 : 10_000,
    }),
    async close() {
      watched.stop()
      streams.close()
      await reader?.close()
    },
  }
}
