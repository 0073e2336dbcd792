import type { Instant, Key, Milliseconds, Version } from '../../src/units.ts'

/** A record as an answer has shown it. */
export interface Sight {
  readonly version: Version
  readonly text: string
  readonly expiresAt: Instant
}

/** One call of a store's method, which was answered. */
export interface Call {
  readonly key: Key
  readonly begun: Milliseconds
  readonly ended: Milliseconds
  /** What it wrote. `over`: the version that it replaced; absent for a creation. */
  readonly wrote?: Sight & { readonly over?: Version }
  /** It ended the record. `version`: the one that it named. */
  readonly removed?: { readonly version?: Version }
  /** The record that it was shown. */
  readonly saw?: Sight
  /** The version that it named, and that it was refused for. */
  readonly refused?: Version
  /** It was told that there is no record. */
  readonly foundNothing?: boolean
  /** It moved the end to this, at least. */
  readonly extended?: Instant
}

/** A version of a record: who wrote it, and when it was known to be there. */
interface State {
  readonly writer: Call
  readonly sights: Call[]
  next?: State
}

/** From a creation to the end of the record. */
interface Life {
  readonly states: State[]
  end?: Call
  /** It was there by this moment, and was still there at the other one. */
  thereBy: Milliseconds
  stillThere: Milliseconds
  /** By this moment the next life had begun. */
  overBy: Milliseconds
}

/** What no store that keeps the contract could have answered, one sentence each. Every call must have been answered. */
export function judgeRaces(calls: readonly Call[]): string[] {
  const byKey = new Map<Key, Call[]>()
  for (const call of calls) {
    const ofKey = byKey.get(call.key)
    if (ofKey) ofKey.push(call)
    else byKey.set(call.key, [call])
  }
  return [...byKey.values()].flatMap(judgeKey)
}

function judgeKey(calls: readonly Call[]): string[] {
  const wrong: string[] = []
  const states = statesOf(calls, wrong)
  const lives = livesOf(states, wrong)
  const newest = new Map(lives.map((life) => [life.states.at(-1)!.writer.wrote!.version, life]))
  for (const call of calls) {
    if (call.saw) see(call, call.saw, states, wrong)
    if (call.saw && call.saw.version === call.refused) wrong.push('refused for the very version that is there')
    if (call.removed?.version !== undefined) endAt(call, newest.get(call.removed.version), wrong)
  }
  for (const life of lives) judgeLife(life, wrong)
  // By both moments, so that of two lives the one comes first that was certainly over first.
  lives.sort((one, other) => one.thereBy + one.stillThere - (other.thereBy + other.stillThere))
  for (const [index, life] of lives.slice(1).entries()) {
    const before = lives[index] as Life
    if (life.thereBy < before.stillThere && before.thereBy < life.stillThere) wrong.push('two lives at once')
    if (before.thereBy < life.stillThere) before.overBy = life.thereBy
  }
  const absences = calls.filter(({ foundNothing }) => foundNothing)
  for (const { begun, ended } of absences) {
    if (lives.some(({ thereBy, stillThere }) => thereBy < begun && ended < stillThere)) {
      wrong.push('absent while it was there')
    }
  }
  matchRemovals(lives, calls, wrong)
  judgeEnds(calls, states, wrong)
  return wrong
}

function statesOf(calls: readonly Call[], wrong: string[]): Map<Version, State> {
  const states = new Map<Version, State>()
  for (const writer of calls) {
    if (!writer.wrote) continue
    const { version } = writer.wrote
    if (states.has(version)) wrong.push(`version ${version} was written twice`)
    states.set(version, { writer, sights: [] })
  }
  return states
}

function livesOf(states: ReadonlyMap<Version, State>, wrong: string[]): Life[] {
  for (const state of states.values()) {
    const { over, version } = state.writer.wrote!
    if (over === undefined) continue
    const before = states.get(over)
    if (!before) wrong.push(`version ${over} was replaced, and nobody wrote it`)
    else if (before.next) wrong.push(`version ${over} was replaced twice: a change is lost`)
    else if (version <= over) wrong.push(`version ${version} is not above version ${over}`)
    else before.next = state
  }
  const lives: Life[] = []
  for (const first of states.values()) {
    if (first.writer.wrote!.over !== undefined) continue
    const life: Life = { states: [], thereBy: Infinity, stillThere: -Infinity, overBy: Infinity }
    for (let state: State | undefined = first; state; state = state.next) life.states.push(state)
    lives.push(life)
  }
  return lives
}

function see(call: Call, saw: Sight, states: ReadonlyMap<Version, State>, wrong: string[]): void {
  const state = states.get(saw.version)
  if (!state) wrong.push(`version ${saw.version} was seen, and nobody wrote it`)
  else if (state.writer.wrote!.text !== saw.text) wrong.push(`version ${saw.version} was seen with another text`)
  else state.sights.push(call)
}

function endAt(call: Call, life: Life | undefined, wrong: string[]): void {
  if (!life) wrong.push('a version was removed that was not the newest')
  else if (life.end) wrong.push('a version was removed twice')
  else life.end = call
}

/** Nobody sees a state before it was written, or after it was known that another one has taken its place. */
function judgeLife(life: Life, wrong: string[]): void {
  let replacedBy = life.end?.ended ?? Infinity
  for (const { writer, sights } of life.states.toReversed()) {
    let knownBy = Math.min(writer.ended, replacedBy)
    for (const { begun, ended } of sights) {
      if (ended < writer.begun) wrong.push('seen before it was written')
      if (begun > replacedBy) wrong.push('seen after it was replaced')
      knownBy = Math.min(knownBy, ended)
      life.stillThere = Math.max(life.stillThere, begun)
    }
    life.stillThere = Math.max(life.stillThere, writer.begun)
    replacedBy = knownBy
  }
  life.thereBy = replacedBy
  if (life.end) {
    life.thereBy = Math.min(life.thereBy, life.end.ended)
    life.stillThere = Math.max(life.stillThere, life.end.begun)
  }
}

/** So many lives before and after are looked at for one that a removal may have ended. */
const NEIGHBOURS = 40

/** Each removal that named no version has ended one life, and each life but the last one was ended. */
function matchRemovals(lives: readonly Life[], calls: readonly Call[], wrong: string[]): void {
  const middle = ({ begun, ended }: Call): Milliseconds => begun + ended
  const removals = calls
    .filter(({ removed }) => removed && removed.version === undefined)
    .toSorted((one, other) => middle(one) - middle(other))
  const open = lives.filter(({ end }) => !end)
  const endedBy = new Map<Life, number>()
  const place = (index: number, tried: Set<Life>): boolean => {
    const { begun, ended } = removals[index] as Call
    for (const life of open.slice(Math.max(0, index - NEIGHBOURS), index + NEIGHBOURS)) {
      const { writer } = life.states[0] as State
      if (tried.has(life) || writer.begun > ended || life.stillThere > ended || life.overBy < begun) continue
      tried.add(life)
      const other = endedBy.get(life)
      if (other === undefined || place(other, tried)) {
        endedBy.set(life, index)
        return true
      }
    }
    return false
  }
  for (const index of removals.keys()) {
    if (!place(index, new Set())) wrong.push('what was removed was seen afterwards, or was not there')
  }
  const left = open.filter((life) => !endedBy.has(life))
  if (left.length > 1) wrong.push(`${left.length} lives have no end`)
}

/** A touch that was acknowledged before a read began is seen by it, if nobody wrote meanwhile. */
function judgeEnds(calls: readonly Call[], states: ReadonlyMap<Version, State>, wrong: string[]): void {
  const touches = calls
    .filter(({ extended }) => extended !== undefined)
    .toSorted((one, other) => one.ended - other.ended)
  for (const { writer, sights } of states.values()) {
    const last = Math.max(...sights.map(({ begun }) => begun))
    const since: Call[] = []
    for (let index = firstAfter(touches, writer.ended); index < touches.length; index++) {
      const touch = touches[index] as Call
      if (touch.ended >= last) break
      if (touch.begun > writer.ended) since.push(touch)
    }
    for (const { begun, saw } of sights) {
      const isNearer = ({ ended, extended }: Call): boolean => ended < begun && saw!.expiresAt < extended!
      if (since.some(isNearer)) wrong.push('an end that is nearer than it had been extended to')
    }
  }
}

/** The index of the first call that ended after this moment. */
function firstAfter(calls: readonly Call[], moment: Milliseconds): number {
  let [from, to] = [0, calls.length]
  while (from < to) {
    const middle = (from + to) >> 1
    if (calls[middle]!.ended > moment) to = middle
    else from = middle + 1
  }
  return from
}
