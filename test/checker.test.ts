import assert from 'node:assert/strict'
import { after, describe, it, type TestContext } from 'node:test'
import { campaign, type CampaignOptions, type Report } from './checker/campaign.ts'
import type { MutantName } from './checker/mutants.ts'
import { PLAYS, type PlayName } from './checker/plays.ts'
import { describe as describeReport, explain } from './checker/report.ts'
import { open, perform, type Play, type Player, type SharedServers } from './checker/stage.ts'
import type { Verdict } from './checker/verify.ts'
import type { Key, Milliseconds } from '../src/units.ts'
import { postgresServer, type PostgresServer } from './support/servers/postgres-server.ts'
import { clusterSetup, redisServer, type ClusterSetup, type RedisServer } from './support/servers/redis-server.ts'
import { until } from './support/servers/server-process.ts'

const SEED = 20_261_122

/** One of each for all plays that need it: they take seconds to start. */
let cluster: ClusterSetup | undefined
let postgres: PostgresServer | undefined
let shards: readonly RedisServer[] | undefined
after(() => Promise.all([cluster, postgres, ...(shards ?? [])].map((server) => server?.stop())))

async function serversFor(play: PlayName): Promise<SharedServers> {
  const { protocol } = PLAYS[play]
  if (protocol === 'cluster') return { cluster: (cluster ??= await clusterSetup()) }
  if (protocol === 'postgres') return { postgres: (postgres ??= await postgresServer()) }
  if (protocol === 'shards') return { shards: (shards ??= await Promise.all([redisServer(), redisServer()])) }
  return {}
}

/** Whether there was something to be found. */
function saysSomething({ figures }: Verdict): boolean {
  const { hits, acknowledgedWrites, acknowledgedEnds } = figures
  return hits > 100 && acknowledgedWrites > 100 && acknowledgedEnds > 5
}

/** The quick form; `npm run check:long` is the long one. */
async function findsNothing(test: TestContext, options: Omit<CampaignOptions, 'seed'>): Promise<Report> {
  const report = await campaign({ seed: SEED, pace: 3, until: saysSomething, ...options })
  test.diagnostic(`seed ${SEED}`)
  for (const line of describeReport(report).split('\n').slice(3, -1)) test.diagnostic(line)
  assert.equal(report.violations.length, 0, describeReport(report))
  assert.ok(saysSomething(report), describeReport(report))
  assert.ok(report.figures.audited > 0, describeReport(report))
  assert.equal(report.figures.stale, 0, `the audit accuses an honest cache\n${describeReport(report)}`)
  return report
}

describe(
  'several processes under chaos lose nothing, resurrect nothing and serve nothing old',
  { concurrency: false },
  () => {
    it('with files, while processes are stopped and killed', async (test) => {
      const { figures } = await findsNothing(test, { store: 'file', seconds: 1 })
      assert.equal(figures.stalest, 0)
    })

    it('with SQLite, while processes are stopped and killed', async (test) => {
      const { figures } = await findsNothing(test, { store: 'sqlite', seconds: 1 })
      assert.equal(figures.stalest, 0)
    })

    it('with Redis, while connections, processes and the server are cut, stopped, delayed and killed', async (test) => {
      await findsNothing(test, { store: 'redis', seconds: 3 })
    })

    it('with Redis over RESP2, where messages and answers come over two connections', async (test) => {
      await findsNothing(test, { store: 'redis2', seconds: 2 })
    })
  },
)

describe('the checker notices in a play that the library is broken', { concurrency: false }, () => {
  const directed: Record<MutantName, PlayName> = {
    noLease: 'cut off',
    sharedLease: 'apart',
    stickyOwner: 'half moved',
    keptGeneration: 'there and back',
    keptEpoch: 'emptied',
    noToken: 'overtaken',
    noPublish: 'told',
    blindOverwrite: 'at once',
    recreating: 'too late',
    goneOnReplica: 'replica',
    alwaysCurrent: 'on files',
    believeKnown: 'on PostgreSQL',
    neverHeld: 'carried on twice',
    successorStays: 'signed out by the old id',
    unheldStays: 'carried on twice',
    anyDigest: 'signed in by the old id',
    emptyTouch: 'under way',
    emptyDelete: 'signed out everywhere',
    notedOnce: 'listed',
    ownClock: 'listed by a clock that is ahead',
    ownOrder: 'one server',
  }
  const besides: [MutantName, PlayName][] = [
    ['alwaysCurrent', 'on SQLite'],
    ['sharedLease', 'apart on shards'],
  ]
  for (const [mutant, play] of [...(Object.entries(directed) as [MutantName, PlayName][]), ...besides]) {
    it(`${mutant}, in "${play}"`, async () => {
      // On a busy machine a lease may lapse in the middle of a play, and then nothing old is served by anybody.
      for (let tries = 0; tries < 5; tries++) {
        const { violations } = await perform(PLAYS[play], mutant, await serversFor(play))
        if (violations.length > 0) return
      }
      assert.fail('five times nothing was noticed')
    })
  }
})

describe('the audit in the library notices by itself that its cache is broken', { concurrency: false }, () => {
  /** So long that a busy machine loses no lease by itself: nothing old would be served after that, nor be audited. */
  const bound: Milliseconds = 2000

  /** Once the hit that put the session on the stage was audited, so that the next audit is one of what is read later. */
  const prepared = ({ node: { diagnostics } }: Player): Promise<void> => until(() => diagnostics.stats.audited > 0)

  /** Reads until an answer was audited, or the session is not there any more; whether the audit complained. */
  async function audited({ node }: Player, session: Key): Promise<boolean> {
    const { stats } = node.diagnostics
    const before = stats.audited
    await until(async () => (await node.read(session)) === 'absent' || stats.audited > before)
    return stats.stale > 0
  }

  for (const mutant of ['noPublish', 'keptEpoch'] as const) {
    it(mutant, async () => {
      let isNoticed = false
      const plays: Record<typeof mutant, Play> = {
        noPublish: {
          protocol: 3,
          bound,
          async perform({ a, b, session }) {
            await prepared(a)
            await b.node.set(await open(b, session), 'a')
            isNoticed = await audited(a, session)
          },
        },
        keptEpoch: {
          protocol: 'cluster',
          bound,
          async perform({ a, session, flush }) {
            await prepared(a)
            await flush()
            isNoticed = await audited(a, session)
          },
        },
      }
      const servers = mutant === 'keptEpoch' ? { cluster: (cluster ??= await clusterSetup()) } : {}
      await perform(plays[mutant], undefined, servers, 1)
      assert.equal(isNoticed, false, 'the library as it is')
      // On a busy machine a lease may lapse in between, and then nothing old is served by anybody.
      for (let tries = 0; tries < 5 && !isNoticed; tries++) await perform(plays[mutant], mutant, servers, 1)
      assert.ok(isNoticed, 'five times nothing was noticed')
    })
  }
})

describe('the checker notices by chance that the library is broken', { concurrency: 2 }, () => {
  const mistakes: [MutantName, Omit<CampaignOptions, 'seed' | 'seconds' | 'mutant'>][] = [
    ['noLease', { store: 'redis', only: ['black hole'], pace: 4 }],
    ['noPublish', { store: 'redis', only: [] }],
    ['blindOverwrite', { store: 'redis', only: [] }],
    ['recreating', { store: 'redis', only: [] }],
    ['alwaysCurrent', { store: 'file', only: [] }],
  ]
  for (const [mutant, options] of mistakes) {
    it(mutant, async (test) => {
      const report = await campaign({
        seed: SEED,
        seconds: 1,
        mutant,
        bound: 150,
        workers: 2,
        until: ({ violations }) => violations.length > 0,
        pace: 2,
        ...options,
      })
      test.diagnostic(`${report.violations.length} violations within ${report.seconds.toFixed(1)} s`)
      assert.ok(report.violations.length > 0, describeReport(report))
    })
  }
})

describe('the library as it is passes the plays', { concurrency: false }, () => {
  const plays: [PlayName, string][] = [
    ['cut off', 'a node that hears nothing serves nothing that is older than the bound'],
    ['told', 'what another node has written is not served once the news has come'],
    ['at once', 'of two requests that write at once nothing is lost'],
    ['too late', 'a request that commits after a destroy brings nothing back'],
    ['on files', 'what another process has written to a file is seen at once'],
    ['on PostgreSQL', 'what another process has written to PostgreSQL is seen at once, whatever the cache knows'],
    ['carried on twice', 'a session whose cookie has come back is carried on by nobody who has an older id'],
    ['on SQLite', 'what another process has written to a file of SQLite is seen at once'],
    ['signed in by the old id', 'a stranger with an old id gets nothing that was written after the sign-in'],
    ['under way', 'a session lives for as long as a request of it is under way'],
    ['signed out everywhere', 'a user who is signed out everywhere is signed out under a new id too'],
    ['listed', 'a session whose note was lost is listed once it has been used again'],
    ['listed by a clock that is ahead', 'a node whose clock is ahead takes no session out of its user’s list'],
    ['signed out by the old id', 'a sign-out with the old id ends the session that nobody holds yet'],
    ['overtaken', 'an answer that the news of a destroy overtook is not kept'],
    ['replica', 'a server that has become a replica logs nobody out'],
    ['joined', 'a read that joins a slow one gets nothing that is older than the bound'],
    ['told by a master', 'what another node has written on a Cluster is not served once the news has come'],
    ['apart', 'what cannot be heard of one master is not vouched for by another one'],
    ['half moved', 'a session whose slot is on the move is not served from the cache'],
    ['there and back', 'what was cached before a slot was away is not served when it is back'],
    ['emptied', 'what the servers have forgotten is not served'],
    ['apart on shards', 'what cannot be heard of one server is not vouched for by another one'],
    ['one server', 'a session is on one server, in whatever order the nodes list them'],
    ['forgotten', 'what a failover lost is not taken for what was written after it'],
  ]
  for (const [play, sentence] of plays) {
    it(sentence, async () => {
      const { violations } = await perform(PLAYS[play], undefined, await serversFor(play))
      assert.equal(violations.length, 0, violations.map(explain).join('\n'))
    })
  }
})
