import { getSession, type Sessions, type SessionSummary } from 'koa-server-session'
import { deviceLabel } from './device-label.ts'
import type { User } from './users.ts'

/** One of a user's sessions, as the user knows it. */
export type Device = SessionSummary

/** On one more, the device that signed in first is signed out. */
export const MAX_DEVICES = 5

/**
 * Lets the user find this session again on the devices page, and ends the oldest one of too many. To be called at sign-in,
 * before anything is put into the session: if it rejects, nobody is signed in.
 */
export async function identifyDevice(sessions: Sessions, user: User, userAgent: string): Promise<void> {
  // Stores that cannot list sessions refuse to note whose they are.
  if (sessions.canList) await getSession().identify(user.id, { label: deviceLabel(userAgent), max: MAX_DEVICES })
}

/** Why this device was signed out, if it was not the visitor here who did it. */
export function whySignedOut(): string | undefined {
  const { endedBecause } = getSession()
  if (endedBecause === 'limit')
    return `You were signed out here, because you signed in on more than ${MAX_DEVICES} devices.`
  return endedBecause === ELSEWHERE ? 'You were signed out here from another device.' : undefined
}

const ELSEWHERE = 'from another device'

/** Where this user is signed in, the device seen last first; `undefined` where the store cannot list sessions. */
export async function devicesOf(sessions: Sessions, user: User): Promise<Device[] | undefined> {
  return sessions.canList ? sessions.list(user.id) : undefined
}

/** Ends one other session of this user, and resolves to what it was; `undefined` if the user has none of this id. */
export async function signOutDevice(sessions: Sessions, user: User, id: string): Promise<Device | undefined> {
  // Whoever sends the form chooses the id: looking it up among the user's own keeps other users' sessions out of reach.
  const device = (await devicesOf(sessions, user))?.find((other) => other.id === id && !other.isCurrent)
  return device && (await sessions.revoke(id, { subject: user.id, because: ELSEWHERE })) ? device : undefined
}

/** Ends all sessions of this user but this one, and resolves to how many. */
export async function signOutElsewhere(sessions: Sessions, user: User): Promise<number> {
  return sessions.canList ? sessions.revokeAll(user.id, { except: getSession().id, because: ELSEWHERE }) : 0
}
