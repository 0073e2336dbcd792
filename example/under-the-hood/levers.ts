import type { Keys, Sessions } from 'koa-server-session'
import { addSigningKey } from '../signing-key.ts'
import type { Team } from './team.ts'

/** What the page's buttons can do to the site as a whole, however many processes it has. */
export interface Levers {
  /** Makes a new signing key, and has every process use it. Absent: the keys are somebody else's to change. */
  readonly rotate?: (() => Promise<void>) | undefined
  /** Stops Redis; resolves once it has ended. Absent: this site owns no Redis. */
  readonly stopRedis?: (() => Promise<StoppedRedis>) | undefined
}

export interface StoppedRedis {
  /** To be called by whoever has stopped it, and has seen enough: it stays away until then. Resolves when it is back. */
  comeBack(): Promise<void>
}

/** `keyFile`: where this site keeps a key of its own. `team`: the processes that serve it together with this one. */
export function leversOf(sessions: Sessions, keyFile: string | undefined, team: Team | undefined): Levers {
  if (!team) return { rotate: keyFile === undefined ? undefined : async () => sessions.rotate(addSigningKey(keyFile)) }
  team.onKeys((keys: Keys) => sessions.rotate(keys))
  const stopRedis = async (): Promise<StoppedRedis> => {
    await team.ask('stop Redis')
    return { comeBack: () => team.ask('wait for Redis') }
  }
  return {
    rotate: keyFile === undefined ? undefined : () => team.ask('change the key'),
    stopRedis: team.ownsRedis ? stopRedis : undefined,
  }
}
