import { subjectNames } from '../../src/session/subject-names.ts'
import type { Key } from '../../src/units.ts'
import { until } from '../support/servers/server-process.ts'
import { moveSlot, slotMove } from '../support/servers/slot-move.ts'
import { droppedBy, open, PREFIX, readsOf, type PlainPlay, type Play } from './stage.ts'

/** A bound after which nothing of a play still happens: no heartbeat comes between its steps. */
const NEVER = 600_000
const MINUTE = 60_000
const USER = 'ada'

export type PlayName =
  | 'cut off'
  | 'told'
  | 'overtaken'
  | 'at once'
  | 'too late'
  | 'replica'
  | 'joined'
  | 'forgotten'
  | 'on files'
  | 'on PostgreSQL'
  | 'carried on twice'
  | 'signed out by the old id'
  | 'on SQLite'
  | 'signed in by the old id'
  | 'under way'
  | 'signed out everywhere'
  | 'listed'
  | 'listed by a clock that is ahead'
  | 'told by a master'
  | 'apart'
  | 'half moved'
  | 'there and back'
  | 'emptied'
  | 'apart on shards'
  | 'one server'

/**
 * Schedules that chance finds too seldom. Each shows one mistake for certain, because each step waits until the one
 * before it has happened.
 */
export const PLAYS: Readonly<Record<PlayName, Play>> = {
  /** Nothing of the server reaches A any more, while B writes. */
  'cut off': {
    protocol: 3,
    bound: 200,
    async perform({ a, b, cable, session, now: moment }) {
      const state = await open(b, session)
      cable.blackHole()
      await b.node.set(state, 'a')
      const written = moment()
      await until(() => moment() - written > 200)
      const reading = a.node.read(session)
      cable.heal()
      await reading
    },
  },
  /** B writes, and A hears of it. */
  told: {
    protocol: 3,
    bound: NEVER,
    oldest: 0,
    async perform({ a, b, session }) {
      await b.node.set(await open(b, session), 'a')
      // Messages and answers come over one ordered stream.
      await a.store.ping!()
      await a.node.read(session)
    },
  },
  /** Both have read the same version, and both write. */
  'at once': {
    protocol: 3,
    bound: NEVER,
    async perform({ a, b, session }) {
      const states = [await open(a, session), await open(b, session)] as const
      await a.node.set(states[0], 'a')
      await b.node.set(states[1], 'b')
      await b.node.read(session)
    },
  },
  /** A has read the session that B destroys, and writes. */
  'too late': {
    protocol: 3,
    bound: NEVER,
    async perform({ a, b, session }) {
      const state = await open(a, session)
      await b.node.destroy(await open(b, session))
      await a.node.set(state, 'a')
    },
  },
  'on files': readAgain('file'),
  'on SQLite': readAgain('sqlite'),
  'on PostgreSQL': readAgain('postgres'),
  /** A has read the session that B carries on under a new id, which comes back. A would carry the old one on as well. */
  'carried on twice': {
    protocol: 'file',
    async perform({ a, b, session }) {
      const old = await open(a, session)
      const heir = (await b.node.regenerate(await open(b, session))) as Key
      await b.node.read(heir)
      await a.node.regenerate(old)
      await b.node.read(heir)
    },
  },
  /** A has read the session that B carries on under a new id, which has not come back. A signs out. */
  'signed out by the old id': {
    protocol: 'file',
    async perform({ a, b, session }) {
      const old = await open(a, session)
      const heir = (await b.node.regenerate(await open(b, session))) as Key
      await a.node.destroy(old)
      await b.node.read(heir)
    },
  },
  /** B carries the session on and writes to the new one, which nobody holds. A stranger with the old id signs in at A. */
  'signed in by the old id': {
    protocol: 'file',
    async perform({ a, b, session }) {
      await b.node.set(await open(b, session), 'a')
      const heir = await b.node.carryOn(await open(b, session))
      if (!heir) throw new Error('the play needs a new session')
      await b.node.set(heir, 'b')
      await a.node.signIn(session, ['a', 'b', 'origin'])
    },
  },
  /** A request at A lasts for longer than the idle timeout, and then writes. */
  'under way': {
    protocol: 'file',
    async perform({ a, b, session, clock }) {
      const state = await open(a, session)
      for (let minutes = 0; minutes < 120; minutes += 30) {
        clock.pass(30 * MINUTE)
        a.node.touchIfDue(state)
      }
      await a.node.set(state, 'a')
      await b.node.read(session)
    },
  },
  /** B carries on a session of a user whom A signs out everywhere. */
  'signed out everywhere': {
    protocol: 'file',
    async perform({ a, b }) {
      const session = (await b.node.create({ user: USER })) as Key
      const heir = (await b.node.regenerate(await open(b, session))) as Key
      await a.node.revokeAll(USER)
      await b.node.read(heir)
      await b.node.list(USER)
    },
  },
  /** The index loses a note. The session is used, and then A lists what there is. */
  listed: {
    protocol: 'file',
    async perform({ a, b, clock }) {
      const session = (await b.node.create({ user: USER })) as Key
      const state = await open(b, session)
      const [subject] = subjectNames('sid', [])(USER) as [string]
      await b.store.subjects!.remove(subject, session)
      clock.pass(10 * MINUTE)
      b.node.touchIfDue(state)
      await a.node.list(USER)
    },
  },
  /** B, whose clock is ahead by more than the idle timeout, looks for a user's sessions. A lists them. */
  'listed by a clock that is ahead': {
    protocol: 'file',
    async perform({ a, b, clock }) {
      await a.node.create({ user: USER })
      await clock.ahead(120 * MINUTE, () => b.node.look(USER))
      await a.node.list(USER)
    },
  },
  /** The answer to a read is under way while the session is destroyed, and the news of that arrives first. */
  overtaken: {
    protocol: 2,
    bound: NEVER,
    oldest: 0,
    async perform({ a, b, cable, session }) {
      await b.node.set(await open(b, session), 'a')
      await droppedBy(a)
      const state = await open(b, session)
      const heard = a.heard()
      const answer = cable.holdAnswers()
      const reading = a.node.read(session)
      await answer.arrived
      await b.node.destroy(state)
      await until(() => a.heard() > heard)
      cable.heal()
      await reading
      await a.node.read(session)
    },
  },
  /** A request has read its session; when it commits, the server has become a replica that has not got it. */
  replica: {
    protocol: 3,
    bound: NEVER,
    async perform({ a, server, session }) {
      const state = await open(a, session)
      const dump = await server.cli('GET', PREFIX + session)
      await server.cli('DEL', PREFIX + session)
      await server.cli('REPLICAOF', '127.0.0.1', '1')
      await a.node.set(state, 'a')
      await server.cli('REPLICAOF', 'NO', 'ONE')
      await server.cli('SET', PREFIX + session, dump)
    },
  },
  /** A read waits for a slow answer; another one, long after a write, must not be given the same answer. */
  joined: {
    protocol: 3,
    // A gives its connection up after four bounds of silence. The play has to be over by then, also on a busy machine.
    bound: 3000,
    async perform({ a, b, cable, server, session, now: moment }) {
      await b.node.set(await open(b, session), 'a')
      await droppedBy(a)
      const state = await open(b, session)
      const reads = await readsOf(server)
      cable.holdAnswers()
      const first = open(a, session)
      await until(async () => (await readsOf(server)) > reads)
      await b.node.set(state, 'a')
      const written = moment()
      await until(() => !a.link().vouches() && moment() - written > 3000)
      const second = open(a, session)
      cable.heal()
      await Promise.all([first, second])
    },
  },
  /** B writes on each master, and A hears of it. */
  'told by a master': {
    protocol: 'cluster',
    bound: NEVER,
    oldest: 0,
    async perform({ a, b, session }) {
      for (let n = 0; n < 5; n++) {
        await b.node.set(await open(b, session), 'a')
        // Over the same link as the messages, and in order.
        await a.store.load(session)
        await a.node.read(session)
      }
    },
  },
  /** A hears nothing of the session's master any more, but of the others. */
  apart: {
    protocol: 'cluster',
    bound: 2000,
    async perform({ a, b, session, cluster, proxies, now: moment }) {
      const state = await open(b, session)
      proxies.proxyOf(await cluster.masterOf(PREFIX + session)).blackHole()
      await b.node.set(state, 'a')
      const written = moment()
      await until(() => moment() - written > 2000)
      const reading = a.node.read(session)
      proxies.heal()
      await reading
    },
  },
  /** The session is on another master, its slot is not yet, and A hears nothing of where it is. */
  'half moved': {
    protocol: 'cluster',
    bound: 500,
    async perform({ a, b, session, cluster, proxies, now: moment }) {
      const left = a.link(session)
      const { generation } = left
      const move = await slotMove(cluster, PREFIX + session)
      proxies.proxyOf(move.target).hangListeners()
      await move.open()
      await move.carry()
      await until(() => left.generation > generation && left.vouches())
      await a.node.read(session)
      await b.node.set(await open(b, session), 'a')
      const written = moment()
      await until(() => moment() - written > 500 && left.vouches())
      await a.node.read(session)
      await move.close()
    },
  },
  /** The session was written while it was on another master, of which A hears nothing, and is back. */
  'there and back': {
    protocol: 'cluster',
    bound: 500,
    async perform({ a, b, session, cluster, proxies, now: moment }) {
      const left = a.link(session)
      const source = await cluster.masterOf(PREFIX + session)
      const move = await slotMove(cluster, PREFIX + session)
      proxies.proxyOf(move.target).hangListeners()
      await move.open()
      await move.carry()
      await move.close()
      await b.node.set(await open(b, session), 'a')
      const written = moment()
      await moveSlot(cluster, PREFIX + session, source)
      await until(() => moment() - written > 500 && a.link(session) === left && left.vouches())
      await a.node.read(session)
    },
  },
  /** All servers forget everything. */
  emptied: {
    protocol: 'cluster',
    // So long that no lease lapses by itself meanwhile: what it vouched for would then be forgotten for that alone.
    bound: 4000,
    async perform({ a, session, flush, now: moment }) {
      await flush()
      const flushed = moment()
      await until(() => moment() - flushed > 4000 && a.link(session).vouches())
      await a.node.read(session)
    },
  },
  /** A hears nothing of the session's server any more, but of the others. */
  'apart on shards': {
    protocol: 'shards',
    bound: 2000,
    async perform({ a, b, session, cableTo, now: moment }) {
      const state = await open(b, session)
      const cable = cableTo(session)
      cable.blackHole()
      await b.node.set(state, 'a')
      const written = moment()
      await until(() => moment() - written > 2000)
      const reading = a.node.read(session)
      cable.heal()
      await reading
    },
  },
  /** B makes a session, and A, which lists the servers in another order, is asked for it. */
  'one server': {
    protocol: 'shards',
    bound: NEVER,
    isCold: true,
    async perform({ a, session }) {
      await a.node.read(session)
    },
  },
  /** The server forgets a version (a failover), and the next one has another content. Nobody may take it for the first. */
  forgotten: {
    protocol: 3,
    bound: 100,
    async perform({ a, b, server, session, doubts, now: moment }) {
      const before = await server.cli('GET', PREFIX + session)
      const from = moment()
      await a.node.set(await open(a, session), 'a')
      const state = await open(a, session)
      const generations = [a, b].map(({ link }) => link().generation)
      await server.cli('SET', PREFIX + session, before)
      await server.cli('DEL', `${PREFIX}epoch`)
      // A heartbeat of each has told that the server has forgotten something.
      await until(() => [a, b].every(({ link }, index) => link().generation > generations[index]! && link().vouches()))
      doubts.push({ from, to: moment() })
      await b.node.set(await open(b, session), 'b')
      await a.node.set(state, 'c')
      await a.node.read(session)
    },
  },
}

/** B writes; A has read the session before, and reads it again. */
function readAgain(protocol: PlainPlay['protocol']): PlainPlay {
  return {
    protocol,
    async perform({ a, b, session }) {
      await b.node.set(await open(b, session), 'a')
      await a.node.read(session)
    },
  }
}
