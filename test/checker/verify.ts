import type { Key, Milliseconds, Version } from '../../src/units.ts'
import { checkContents } from './contents.ts'
import type { Doubt } from './environments/environment.ts'
import type { History, Operation } from './history.ts'
import { ENDS, OF_ALL, type Complain, type Life, type Rule } from './life.ts'
import { Successions } from './successions.ts'
import { Users } from './users.ts'

export interface Violation {
  readonly rule: Rule
  readonly what: string
  readonly operation: Operation
  /** What happened to this session around it. */
  readonly excerpt: readonly Operation[]
}

export interface Verdict {
  readonly violations: readonly Violation[]
  readonly figures: {
    readonly operations: number
    readonly reads: number
    readonly acknowledgedWrites: number
    readonly acknowledgedEnds: number
    /** Writes and ends. */
    readonly unknown: number
    readonly failedReads: number
    readonly sessions: number
    readonly signIns: number
    readonly lists: number
    readonly longRequests: number
    readonly hits: number
    readonly conflicts: number
    readonly bypasses: number
    /** What the audits of the processes themselves have found: answers of the caches, and the stale ones among them. */
    readonly audited: number
    readonly stale: number
    /** The oldest that a read was, by another process and by the same one. */
    readonly stalest: Milliseconds
    readonly stalestOwn: Milliseconds
    /** The longest after its end that a session was served by another process. */
    readonly longestServed: Milliseconds
    readonly slowest: Milliseconds
    /** Around failovers: writes count as unknown, reads are judged against what was certain before. */
    readonly doubtful: number
  }
}

/** What the judgement of a history takes for granted. */
export interface Terms {
  readonly bound: Milliseconds
  readonly doubts: readonly Doubt[]
}

/** Operations that bring a version of their own when they are acknowledged. */
const BRINGS_VERSION = new Set(['create', 'set', 'increment'])
const EXCERPT = 6

export function verify({ operations: all, statistics }: History, { bound, doubts }: Terms): Verdict {
  const violations: Violation[] = []
  let doubtful = 0
  const isDoubtful = (operation: Operation): boolean =>
    doubts.some(({ from, to }) => operation.begun <= to && operation.ended >= from)
  const operations: Operation[] = []
  for (const operation of all) {
    if (!isDoubtful(operation)) operations.push(operation)
    else {
      doubtful++
      // What was seen may be seen no more; what was acknowledged may have been forgotten.
      if (operation.kind === 'read') operations.push({ ...operation, isDoubtful: true })
      else operations.push({ ...operation, outcome: 'unknown', ended: Infinity })
    }
  }
  const flushes = operations.filter(({ kind }) => kind === 'flush')
  let stalest = 0
  let stalestOwn = 0
  let longestServed = 0
  const lives = livesIn(operations)
  const successions = new Successions(lives)
  const users = new Users(lives, operations)
  for (const alone of lives) {
    const causes = [...successions.causesFor(alone), ...users.revocationsOf(alone)]
    const life = { ...alone, operations: [...alone.operations, ...causes] }
    const complain: Complain = (rule, operation, what) =>
      violations.push({ rule, what, operation, excerpt: around(operation, life.operations) })
    for (const operation of life.operations) {
      if (operation.outcome === 'broken') complain('no error but the documented ones', operation, operation.error ?? '')
    }
    checkVersions(life, complain)
    successions.check(alone, bound, complain)
    checkContents(life, complain)
    const ages = checkAges(life, bound, complain)
    stalest = Math.max(stalest, ages.others)
    stalestOwn = Math.max(stalestOwn, ages.own)
    users.checkLists({ ...life, operations: [...life.operations, ...flushesOf(life, flushes)] }, complain)
    longestServed = Math.max(longestServed, checkEnds(life, flushesOf(life, flushes), bound, complain))
  }
  const count = (condition: (operation: Operation) => boolean): number => all.filter(condition).length
  return {
    violations,
    figures: {
      operations: all.length,
      reads: count(({ kind }) => kind === 'read'),
      acknowledgedWrites: count(
        ({ kind, outcome }) => outcome === 'done' && (BRINGS_VERSION.has(kind) || kind === 'delete'),
      ),
      acknowledgedEnds: count(
        ({ kind, outcome }) =>
          outcome === 'done' &&
          (kind === 'destroy' || kind === 'regenerate' || kind === 'signIn' || kind === 'revokeAll'),
      ),
      unknown: count(({ kind, outcome }) => outcome === 'unknown' && kind !== 'read'),
      failedReads: count(({ kind, outcome }) => outcome === 'unknown' && kind === 'read'),
      sessions: lives.length,
      signIns: count(({ kind, outcome }) => kind === 'signIn' && outcome === 'done'),
      lists: count(({ kind, outcome }) => kind === 'list' && outcome === 'done'),
      longRequests: lives.filter(({ birth, operations: its }) => {
        return birth?.idle !== undefined && its.some(({ kind, outcome }) => kind === 'set' && outcome === 'done')
      }).length,
      hits: statistics.hits ?? 0,
      conflicts: statistics.conflicts ?? 0,
      bypasses: statistics.bypasses ?? 0,
      audited: statistics.audited ?? 0,
      stale: statistics.stale ?? 0,
      stalest,
      stalestOwn,
      longestServed,
      slowest: all.reduce(
        (longest, { begun, ended }) => (ended < Infinity ? Math.max(longest, ended - begun) : longest),
        0,
      ),
      doubtful,
    },
  }
}

function livesIn(operations: readonly Operation[]): Life[] {
  const bySession = new Map<Key, Operation[]>()
  const births = new Map<Key, Operation>()
  const add = (session: Key, operation: Operation): void => {
    const known = bySession.get(session)
    if (known) known.push(operation)
    else bySession.set(session, [operation])
  }
  for (const operation of operations) {
    if (OF_ALL.has(operation.kind)) continue
    if (operation.kind === 'create') births.set(operation.session, operation)
    const { heir } = operation
    if (heir === undefined) add(operation.session, operation)
    else {
      // The old session ends; the new one begins, and what was seen of it is of the new one.
      const ending = { ...operation }
      delete ending.version
      delete ending.content
      add(operation.session, ending)
      births.set(heir, operation)
      add(heir, { ...operation, kind: 'create', session: heir })
    }
  }
  return [...bySession].map(([session, its]) => ({
    session,
    operations: its.toSorted((a, b) => a.begun - b.begun),
    birth: births.get(session),
  }))
}

function checkVersions({ operations }: Life, complain: Complain): void {
  const owners = new Map<Version, string>()
  for (const operation of operations) {
    const { kind, outcome, version } = operation
    if (outcome !== 'done' || version === undefined || !BRINGS_VERSION.has(kind)) continue
    const owner = owners.get(version)
    if (owner === undefined) owners.set(version, operation.process)
    else if (owner !== operation.process) {
      complain(
        'one version is acknowledged to one process',
        operation,
        `version ${version} was acknowledged to ${owner} as well`,
      )
    }
  }
}

/** How old reads were; returns the greatest age, by the reader's relation to the writer. */
function checkAges(
  { operations }: Life,
  bound: Milliseconds,
  complain: Complain,
): { own: Milliseconds; others: Milliseconds } {
  const greatest = { own: 0, others: 0 }
  const writes = operations
    .filter(({ kind, outcome, version }) => outcome === 'done' && version !== undefined && BRINGS_VERSION.has(kind))
    .toSorted((a, b) => a.version! - b.version!)
  /** When the first of this write and all newer ones was acknowledged. */
  const firstOf: Milliseconds[] = []
  for (let index = writes.length - 1; index >= 0; index--) {
    firstOf[index] = Math.min(writes[index]!.ended, firstOf[index + 1] ?? Infinity)
  }
  const seen = new Map<string, { version: Version; ended: Milliseconds }[]>()
  for (const { process, outcome, version, ended, isDoubtful } of operations.toSorted((a, b) => a.ended - b.ended)) {
    if (outcome !== 'done' || version === undefined || isDoubtful) continue
    const its = seen.get(process) ?? []
    if (version > (its.at(-1)?.version ?? -1)) its.push({ version, ended })
    seen.set(process, its)
  }
  for (const operation of operations) {
    const { kind, outcome, version, begun, process } = operation
    if ((kind !== 'read' && kind !== 'final') || outcome !== 'done') continue
    const newer = firstOf[firstIndex(writes, ({ version: other }) => other! > version!)]
    const age = newer === undefined ? 0 : begun - newer
    greatest.others = Math.max(greatest.others, age)
    if (age > (kind === 'final' ? 0 : bound)) {
      complain(
        'a read is no older than the bound',
        operation,
        `version ${version} was ${age.toFixed(1)} ms out of date`,
      )
    }
    const its = seen.get(process) ?? []
    const before = its[firstIndex(its, ({ ended }) => ended > begun) - 1]
    if (before && before.version > version! && !operation.isDoubtful) {
      greatest.own = Math.max(greatest.own, begun - before.ended)
      const what = `version ${version} after this process had seen ${before.version}, ${(begun - before.ended).toFixed(1)} ms before`
      complain('a process sees its own writes, and never goes back', operation, what)
    }
  }
  return greatest
}

/** Of a list in which all that do not fulfil the condition come first. */
function firstIndex<T>(list: readonly T[], condition: (item: T) => boolean): number {
  let from = 0
  let to = list.length
  while (from < to) {
    const middle = (from + to) >>> 1
    if (condition(list[middle]!)) to = middle
    else from = middle + 1
  }
  return from
}

/** A flush ends every session there is; it may end one that is just being made. */
function flushesOf({ birth }: Life, flushes: readonly Operation[]): Operation[] {
  return flushes.flatMap((flush) => {
    if (!birth || birth.begun > flush.ended) return []
    return birth.outcome === 'done' && birth.ended < flush.begun
      ? [flush]
      : [{ ...flush, outcome: 'unknown', ended: Infinity }]
  })
}

/** Whether ended sessions stay ended, and others do not end; returns for how long one was served after its end. */
function checkEnds(
  { operations, birth }: Life,
  flushes: readonly Operation[],
  bound: Milliseconds,
  complain: Complain,
): Milliseconds {
  const attempts = [
    ...flushes,
    ...operations.filter(({ kind, outcome }) => ENDS.has(kind) && (outcome === 'done' || outcome === 'unknown')),
  ]
  const acknowledged = attempts.filter(({ outcome }) => outcome === 'done').toSorted((a, b) => a.ended - b.ended)
  const firstAttempt = Math.min(...attempts.map(({ begun }) => begun))
  const end = acknowledged[0]
  // An id that was only replaced may sign in once more; and a touch of what stands in its place has no effect.
  const final = acknowledged.find(({ kind }) => kind !== 'regenerate' && kind !== 'signIn')
  let longestServed = 0
  for (const operation of operations) {
    const { kind, outcome, begun, ended, process } = operation
    const since = end ? begun - end.ended : -Infinity
    if (kind === 'read' && outcome === 'done' && since > 0) {
      longestServed = Math.max(longestServed, since)
      const own = acknowledged.find((other) => other.process === process && other.ended < begun)
      if (since > bound || own) {
        const what = `served ${(own ? begun - own.ended : since).toFixed(1)} ms after its end${own ? ' in the same process' : ''}`
        complain('a destroyed session is served no longer than the bound', operation, what)
      }
    } else if (kind === 'final' && outcome === 'done' && end) {
      complain('a destroyed session is not in the store', operation, 'the store still has it, or has it again')
    } else if (outcome === 'done' && since > 0 && BRINGS_VERSION.has(kind)) {
      complain('nothing is acknowledged after a destroy', operation, `begun ${since.toFixed(1)} ms after the end`)
    } else if (outcome === 'done' && final && begun > final.ended && (kind === 'touch' || kind === 'regenerate')) {
      complain('nothing is acknowledged after a destroy', operation, 'begun after the end')
    } else if (outcome === 'absent' && birth?.outcome === 'done' && begun > birth.ended && !(firstAttempt <= ended)) {
      // It may have ended by its idle timeout, but for the request under way that then writes to it.
      if (birth.idle !== undefined && kind !== 'set') continue
      complain('no session ends without a cause', operation, 'nobody had tried to end it')
    }
  }
  return longestServed
}

function around(operation: Operation, operations: readonly Operation[]): Operation[] {
  const index = operations.indexOf(operation)
  const ends = operations.filter(({ kind, outcome }) => ENDS.has(kind) && outcome === 'done')
  const near = operations.slice(Math.max(0, index - EXCERPT), index + EXCERPT + 1)
  return [...new Set([...ends, ...near])].toSorted((a, b) => a.begun - b.begun)
}
