import type { Key } from '../../src/units.ts'
import type { Operation } from './history.ts'
import { ENDS, type Complain, type Life } from './life.ts'

/** Whose sessions there are: what lists must show, and what a `revokeAll` must end. */
export class Users {
  readonly #lives: ReadonlyMap<Key, Life>
  readonly #lists: readonly Operation[]
  readonly #revocations: readonly Operation[]

  constructor(lives: readonly Life[], operations: readonly Operation[]) {
    this.#lives = new Map(lives.map((life) => [life.session, life]))
    this.#lists = operations.filter(({ kind, outcome }) => kind === 'list' && outcome === 'done')
    this.#revocations = operations.filter(({ kind, outcome }) => {
      return kind === 'revokeAll' && (outcome === 'done' || outcome === 'unknown')
    })
  }

  /** The ends that came by `revokeAll`. */
  revocationsOf(life: Life): Operation[] {
    const user = this.#userOf(life)
    if (user === undefined) return []
    return this.#revocations.flatMap((all): Operation[] => {
      if (all.name !== user || (life.birth?.begun ?? 0) > all.ended) return []
      const { process, number, kind, begun, ended, outcome } = all
      const end = { process, number, kind, session: life.session, begun }
      return outcome === 'done' && this.#hadBegun(life, begun)
        ? [{ ...end, ended, outcome }]
        : [{ ...end, ended: Infinity, outcome: 'unknown' }]
    })
  }

  /** `life`: with all that may have ended it. */
  checkLists(life: Life, complain: Complain): void {
    const { session, birth, operations } = life
    const user = this.#userOf(life)
    if (user === undefined || birth?.outcome !== 'done' || birth.idle !== undefined) return
    const ends = operations.filter(
      ({ kind, outcome }) => ENDS.has(kind) && (outcome === 'done' || outcome === 'unknown'),
    )
    for (const list of this.#lists) {
      if (list.name !== user) continue
      const isThere = list.keys?.includes(session) === true
      if (!isThere && birth.ended < list.begun && ends.every(({ begun }) => begun > list.ended))
        complain('a list shows what lives, and all of it', list, 'a session that lives is not in the list')
      if (isThere && ends.some(({ outcome, ended }) => outcome === 'done' && ended < list.begun))
        complain('a list shows what lives, and all of it', list, 'a session that has ended is in the list')
    }
  }

  #userOf({ birth }: Life): string | undefined {
    if (birth?.kind !== 'regenerate') return birth?.kind === 'create' ? birth.name : undefined
    const parent = this.#lives.get(birth.session)
    return parent && this.#userOf(parent)
  }

  /** Whether it, or the session that it carries on, was there at that moment: then no new id saves it. */
  #hadBegun({ birth }: Life, moment: number): boolean {
    if (!birth) return false
    if (birth.outcome === 'done' && birth.ended < moment) return true
    const parent = birth.kind === 'regenerate' ? this.#lives.get(birth.session) : undefined
    return parent !== undefined && this.#hadBegun(parent, moment)
  }
}
