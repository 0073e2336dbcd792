import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Context } from 'koa'
import { getSession, type Session } from 'koa-server-session'
import { beside, racersIn } from './beside.ts'
import { RACERS } from './gathering.ts'
import type { Result } from './journal.ts'
import type { Levers } from './levers.ts'
import { begin, send, thisSite, type Place } from './loopback.ts'
import { NOBODY, NUMBER_HEADER, PART, RACE_HEADER, SLOW, SOMEBODY, WHO } from './paths.ts'

type Row = Result['rows'][number]

const OURS = 'koa-server-session'
const THEIRS = 'koa-session'
const NOT_HERE: Row = { who: THEIRS, outcome: 'is not installed here', isGood: false }

/** What the racing requests leave in a session. */
type Racers = Session & { racers?: number } & Record<`racer-${string}`, true>

/** Of one racing request: leaves a mark of its own, and counts one further than the others have. */
export async function raceHere(number: string): Promise<void> {
  const session = getSession() as Racers
  session[`racer-${number}`] = true
  await session.update((newest) => {
    const racers = newest as Racers
    racers.racers = (racers.racers ?? 0) + 1
  })
}

/** Fifty requests of this visitor write to one session at the same moment; beside them fifty to koa-session. */
export async function race(ctx: Context): Promise<Result> {
  await raceTo(thisSite(ctx))
  const ours = await getSession().update((session) => {
    const racers = session as Racers
    const outcome = { kept: racersIn(racers), counted: racers.racers ?? 0 }
    for (const name of Object.keys(racers)) if (name.startsWith('racer')) delete racers[name as `racer-${string}`]
    return outcome
  })
  const theirs = await beside(async (site) => {
    await raceTo(site.place)
    return site.count()
  })
  return { of: 'race', rows: [raced(OURS, ours), theirs ? raced(THEIRS, theirs) : NOT_HERE] }
}

async function raceTo(place: Place): Promise<void> {
  const id = randomUUID()
  const requests = Array.from({ length: RACERS }, (_, index) =>
    send(place, 'POST', PART, { [RACE_HEADER]: id, [NUMBER_HEADER]: String(index + 1) }),
  )
  await Promise.all(requests)
}

function raced(who: string, { kept, counted }: { kept: number; counted: number }): Row {
  const lost = RACERS - kept
  const outcome =
    lost === 0 && counted === RACERS
      ? `lost nothing: ${kept} of ${RACERS} marks, counted to ${counted}`
      : `lost ${lost} of ${RACERS} marks, and counted to ${counted}`
  return { who, outcome, isGood: lost === 0 && counted === RACERS }
}

/** A request is under way when its visitor signs out, and writes to the session after that. */
export async function signOutDuringRequest(ctx: Context): Promise<Result> {
  const here = thisSite(ctx)
  const ours = await afterSlowRequest(here, () => getSession().destroy({ clear: ['cache'] }))
  const theirs = await beside((site) => afterSlowRequest(site.place, () => site.signOut()))
  return { of: 'sign-out', rows: [left(OURS, ours), theirs === undefined ? NOT_HERE : left(THEIRS, theirs)] }
}

/** Resolves to whether the old cookie still opens a session in the end. */
async function afterSlowRequest(place: Place, signOut: () => Promise<void>): Promise<boolean> {
  const slow = await begin(place, SLOW)
  try {
    await signOut()
  } finally {
    await slow.finish()
  }
  return (await send(place, 'GET', WHO)).text !== NOBODY
}

function left(who: string, isBack: boolean): Row {
  const outcome = isBack
    ? 'the slow request brought the session back: the visitor is signed in again'
    : 'stays signed out: what the slow request wrote went nowhere'
  return { who, outcome, isGood: !isBack }
}

/** The key that signs cookies is replaced, and this visitor comes back with a cookie of the old one. */
export async function changeKey(ctx: Context, rotate: NonNullable<Levers['rotate']>): Promise<Result> {
  const here = thisSite(ctx)
  await rotate()
  const { text, cookies } = await send(here, 'GET', WHO)
  const tokens = (header: string): string[] => header.split(/; ?/).map((cookie) => cookie.split('.', 1)[0] ?? '')
  const isSignedAnew = cookies.some((cookie) => tokens(ctx.get('Cookie')).includes(cookie.split('.', 1)[0] ?? ''))
  return {
    of: 'key',
    rows: [
      {
        who: 'The session',
        outcome: text === SOMEBODY ? 'goes on as it was' : 'is not accepted',
        isGood: text === SOMEBODY,
      },
      {
        who: 'The cookie',
        outcome: isSignedAnew ? 'was signed again with the new key, at once' : 'was not signed again',
        isGood: isSignedAnew,
      },
    ],
  }
}

/** Redis ends, and comes back after a while. `tell` takes what there is to say meanwhile. */
export async function withoutRedis(
  ctx: Context,
  stopRedis: NonNullable<Levers['stopRedis']>,
  tell: (result: Result) => void,
): Promise<void> {
  const here = thisSite(ctx)
  const redis = await stopRedis()
  const pages = Promise.all([send(here, 'GET', '/'), send(here, 'GET', '/cart')])
  // Not before both are there, and also if one has failed: nobody else would ask for Redis.
  const isBack = pages.catch(() => {}).then(() => redis.comeBack())
  isBack.catch(() => {}) // whoever waits for it is told
  const [home, cart] = await pages
  const during: Row[] = [
    { who: 'The home page', outcome: `answers ${home.status}`, isGood: home.status === 200 },
    {
      who: 'The cart',
      outcome: `answers ${cart.status}, and leaves the cookie alone`,
      isGood: cart.cookies.length === 0,
    },
  ]
  tell({
    of: 'redis',
    rows: [...during, { who: 'Redis', outcome: 'is away, and comes back by itself', isGood: false }],
  })
  void isBack
    .then(() => backHere(here))
    .then((isSame) => {
      const outcome = isSame ? 'is back, and so is the session' : 'is back, and the session is not'
      tell({ of: 'redis', rows: [...during, { who: 'Redis', outcome, isGood: isSame }] })
    })
    .catch((error: Error) => tell({ of: 'redis', rows: [{ who: 'Redis', outcome: error.message, isGood: false }] }))
}

/** Whether the same session is there, once the site can say so again. */
async function backHere(place: Place): Promise<boolean> {
  for (let turn = 0; turn < MOST_TURNS; turn++) {
    const { status, text } = await send(place, 'GET', WHO)
    if (status === 200) return text === SOMEBODY
    await sleep(BETWEEN_TURNS)
  }
  return false
}

const MOST_TURNS = 60
const BETWEEN_TURNS = 250
