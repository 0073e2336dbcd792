import type { Version } from '../../src/units.ts'
import type { Content, Operation } from './history.ts'
import { ENDS, type Complain, type Life } from './life.ts'

/** What was seen at one version, and by whom first. */
interface Observation {
  readonly version: Version
  readonly content: Content
  readonly by: Operation
}

const COUNTER = 'counter'
const WRITES = new Set(['set', 'delete', 'increment'])

/**
 * Whether each version holds what the writes acknowledged up to it left, and nothing else. From one observed version to
 * the next, every name must hold what the last acknowledged write between them wrote; or, once, what a write of unknown
 * outcome would have written.
 */
export function checkContents({ operations }: Life, complain: Complain): void {
  const observations = observe(operations, complain)
  const writes = operations
    .filter(({ kind, outcome, version }) => outcome === 'done' && version !== undefined && WRITES.has(kind))
    // Of one version: one group of one process, in the order in which it asked.
    .toSorted((a, b) => a.version! - b.version! || a.number - b.number)
  const unknown = new Set(
    operations.filter((operation) => WRITES.has(operation.kind) && mayBeSeen(operation, operations)),
  )
  let before: Observation | undefined
  let next = 0
  for (const observation of observations) {
    const between: Operation[] = []
    while (next < writes.length && writes[next]!.version! <= observation.version)
      between.push(writes[next++] as Operation)
    if (before) checkStep(before, observation, between, unknown, complain)
    before = observation
  }
}

/**
 * Whether others may see this write although it was not acknowledged: its outcome is unknown, or it was told that the
 * session is gone, which ended while the write was under way. Before that end it may have been there.
 */
function mayBeSeen({ outcome, begun, ended }: Operation, operations: readonly Operation[]): boolean {
  if (outcome === 'unknown') return true
  if (outcome !== 'absent') return false
  return operations.some((other) => ENDS.has(other.kind) && other.begun <= ended && other.ended >= begun)
}

function observe(operations: readonly Operation[], complain: Complain): Observation[] {
  const byVersion = new Map<Version, Observation>()
  for (const by of operations) {
    const { version, content, outcome, isDoubtful } = by
    if (outcome !== 'done' || isDoubtful || version === undefined || content === undefined) continue
    const known = byVersion.get(version)
    if (!known) byVersion.set(version, { version, content, by })
    else if (!isSame(known.content, content)) {
      complain(
        'one version has one content',
        by,
        `${known.by.process} saw version ${version} otherwise: ${difference(known.content, content)}`,
      )
    } else if (by.ended < known.by.ended) byVersion.set(version, { version, content, by })
  }
  return [...byVersion.values()].toSorted((a, b) => a.version - b.version)
}

/** `unknown`: writes that have not been seen yet; one that is seen here is taken out, since it happens only once. */
function checkStep(
  before: Observation,
  after: Observation,
  between: readonly Operation[],
  unknown: Set<Operation>,
  complain: Complain,
): void {
  const names = new Set([
    ...Object.keys(before.content),
    ...Object.keys(after.content),
    ...between.map(({ name }) => name as string),
  ])
  for (const name of names) {
    const writes = between.filter((write) => write.name === name)
    const candidates = [...unknown].filter((write) => write.name === name && write.begun < after.by.ended)
    if (name === COUNTER) {
      checkCounter(before, after, writes, candidates, unknown, complain)
      continue
    }
    const last = writes.at(-1)
    const expected = last ? (last.kind === 'delete' ? undefined : last.value) : before.content[name]
    const found = after.content[name]
    if (found === expected) continue
    const explanation = candidates.find(({ kind, value }) =>
      kind === 'delete' ? found === undefined : value === found,
    )
    // A version that is acknowledged consists of acknowledged writes only.
    if (explanation && last?.version !== after.version) unknown.delete(explanation)
    else {
      const what = `"${name}" is ${found ?? 'absent'} at version ${after.version}, and ${expected ?? 'absent'} is what was acknowledged`
      complain('every acknowledged write is there, and nothing else', after.by, what)
    }
  }
}

function checkCounter(
  before: Observation,
  after: Observation,
  writes: readonly Operation[],
  candidates: readonly Operation[],
  unknown: Set<Operation>,
  complain: Complain,
): void {
  const from = Number(before.content[COUNTER] ?? 0)
  const to = Number(after.content[COUNTER] ?? 0)
  const surplus = to - from - writes.length
  if (surplus < 0 || surplus > candidates.length) {
    const what = `from ${from} at version ${before.version} to ${to} at ${after.version}, with ${writes.length} acknowledged increments and ${candidates.length} of unknown outcome`
    complain('counters are exact', after.by, what)
    return
  }
  for (const seen of candidates.slice(0, surplus)) unknown.delete(seen)
  const results = new Set(writes.map(({ result }) => result))
  const outside = writes.find(({ result }) => result! <= from || result! > to)
  if (results.size < writes.length || outside) {
    complain(
      'counters are exact',
      outside ?? (writes.at(-1) as Operation),
      'an increment was told a result that is not its own',
    )
  }
}

function isSame(one: Content, other: Content): boolean {
  const names = Object.keys(one)
  return names.length === Object.keys(other).length && names.every((name) => one[name] === other[name])
}

function difference(one: Content, other: Content): string {
  const names = new Set([...Object.keys(one), ...Object.keys(other)])
  return [...names]
    .filter((name) => one[name] !== other[name])
    .map((name) => `"${name}" was ${one[name] ?? 'absent'} and is ${other[name] ?? 'absent'}`)
    .join(', ')
}
