import type { Key, Milliseconds } from '../../src/units.ts'
import type { Operation } from './history.ts'
import { ENDS, type Complain, type Life } from './life.ts'

const COUNTER = 'counter'

/**
 * Who replaced whom. A session that was made in the place of another one is held once a request has come with its id.
 * Until then, those who still carry the older id may replace it, or end it; afterwards they can do nothing to it.
 */
export class Successions {
  readonly #lives: ReadonlyMap<Key, Life>

  constructor(lives: readonly Life[]) {
    this.#lives = new Map(lives.map((life) => [life.session, life]))
  }

  /** What may have ended this session although it was done to an older id. */
  causesFor(life: Life): Operation[] {
    const causes: Operation[] = []
    const held = heldSince(life)
    let birth = life.birth
    while (birth && birth.kind !== 'create') {
      const own = birth
      const parent = this.#lives.get(own.session)
      for (const operation of parent?.operations ?? []) {
        const mayEnd = ENDS.has(operation.kind) && (operation.outcome === 'done' || operation.outcome === 'unknown')
        const isOwn = operation.process === own.process && operation.number === own.number
        if (mayEnd && !isOwn && operation.begun < held)
          causes.push({ ...operation, session: life.session, outcome: 'unknown', ended: Infinity })
      }
      // An id before that one can do something only if its successor was never held.
      birth = parent && heldSince(parent) > own.begun ? parent.birth : undefined
    }
    return causes
  }

  /** Whether what was made in the place of this session was made rightly, and ended with it. `bound`: see `verify`. */
  check({ operations }: Life, bound: Milliseconds, complain: Complain): void {
    const made = operations.filter(({ kind, outcome, heir }) => kind === 'regenerate' && outcome === 'done' && heir)
    const heirs = made.map(({ heir }) => this.#lives.get(heir as Key))
    const signIns = operations.filter(({ kind, outcome }) => kind === 'signIn' && outcome === 'done')
    for (const operation of made) {
      const holder = heirs.find((heir) => heir && heldSince(heir) < operation.begun)
      if (holder) complain('a session that is held is replaced by nobody else', operation, 'its successor was held')
    }
    for (const end of operations) {
      if (end.kind !== 'destroy' || end.outcome !== 'done') continue
      for (const heir of heirs) {
        // If anybody came with the new id before the sign-out was over, it may have been held.
        const isNobodys = heir?.operations.every(({ kind, begun }) => kind === 'create' || begun > end.ended)
        const wasMadeBefore = heir?.birth && heir.birth.ended < end.begun
        const served = heir?.operations.find(({ kind, outcome, begun }) => {
          return (kind === 'read' || kind === 'final') && outcome === 'done' && begun > end.ended + bound
        })
        if (isNobodys && wasMadeBefore && served)
          complain('a sign-out ends what nobody holds yet', served, 'it lives on')
      }
    }
    const left = heirs.filter((heir) => heir && nobodyCame(heir) && isLeft(heir))
    if (left[1])
      complain(
        'of several sign-ins one session is left',
        left[1].operations.at(-1) as Operation,
        `${left.length} are left`,
      )
    for (const signIn of signIns) {
      const beside = left.find((heir) => heir?.birth && heir.birth.ended < signIn.begun)
      if (beside) complain('of several sign-ins one session is left', signIn, 'what nobody holds is left beside it')
    }
    for (const signIn of signIns) this.#checkWhatItGot(signIn, complain)
  }

  /** Values are written once in a run, so each tells who has written it. */
  #checkWhatItGot(signIn: Operation, complain: Complain): void {
    const written = new Set<string | undefined>()
    for (let life = this.#lives.get(signIn.session); life; life = this.#parentOf(life))
      for (const { value } of life.operations) written.add(value)
    const got = this.#lives.get(signIn.heir as Key)?.birth?.content ?? {}
    for (const [name, text] of Object.entries(got)) {
      if (name === COUNTER || written.has(text)) continue
      const what = `it got "${name}", which was written to another session`
      complain('an old id gives nothing that was written after the sign-in', signIn, what)
    }
  }

  #parentOf({ birth }: Life): Life | undefined {
    return birth && birth.kind !== 'create' ? this.#lives.get(birth.session) : undefined
  }
}

/** When it was certain that a request had come with this id. */
function heldSince({ operations }: Life): Milliseconds {
  return Math.min(...operations.filter(({ outcome, isHeld }) => outcome === 'done' && isHeld).map(({ ended }) => ended))
}

/** Not even one of which nobody knows what came of it. */
function nobodyCame({ operations }: Life): boolean {
  return operations.every(({ kind }) => kind === 'create' || kind === 'final')
}

function isLeft({ operations }: Life): boolean {
  return operations.some(({ kind, outcome }) => kind === 'final' && outcome === 'done')
}
