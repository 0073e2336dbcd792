import type { Keys, Sessions } from 'koa-server-session'
import { addSigningKey } from '../signing-key.ts'
import type { Team } from './team.ts'

/** What the page's buttons can do to the site as a whole, however many processes it has. */
export interface Levers {
  /** Makes a new signing key, and has every process use it. Absent: the keys are somebody else's to change. */
  readonly rotate?: (() => Promise<void>) | undefined
  /** Stops Redis; resolves, once it has ended, to when it is back. Absent: this site owns no Redis. */
  readonly stopRedis?: (() => Promise<{ isBack: Promise<void> }>) | undefined
}

/** `keyFile`: where this site keeps a key of its own. `team`: the processes that serve it together with this one. */
export function leversOf(sessions: Sessions, keyFile: string | undefined, team: Team | undefined): Levers {
  if (!team) return { rotate: keyFile === undefined ? undefined : async () => sessions.rotate(addSigningKey(keyFile)) }
  team.onKeys((keys: Keys) => sessions.rotate(keys))
  const stopRedis = async (): Promise<{ isBack: Promise<void> }> => {
    await team.ask('stop Redis')
    return { isBack: team.ask('wait for Redis') }
  }
  return {
    rotate: keyFile === undefined ? undefined : () => team.ask('change the key'),
    stopRedis: team.ownsRedis ? stopRedis : undefined,
  }
}
