import type { SessionStats } from '../../src/diagnostics.ts'
import type { Milliseconds } from '../../src/units.ts'

/** What a simulated site did, as if all of its sessions had been simulated. */
export interface Figures {
  readonly requests: number
  /** Which share of the reads the caches answered. */
  readonly hitShare: number
  /** A second, from Redis to all nodes. */
  readonly deliveries: number
  readonly readsOfRedis: number
  /** Which share of the time the caches rested. */
  readonly pausedShare: number
  /** Reads of a version that was no longer the newest when they began: their share of all, and their ages. */
  readonly outdatedShare: number
  readonly medianAge: Milliseconds
  readonly highAge: Milliseconds
  readonly greatestAge: Milliseconds
  /** Of one node, at its fullest. */
  readonly cacheSessions: number
  readonly cacheBytes: number
  readonly failures: number
  readonly bypasses: number
  readonly audited: number
  readonly stale: number
}

/** Counts while a site is simulated. */
export class Tally {
  isCounting = false
  readonly #oneIn: number
  readonly #ages: Milliseconds[] = []
  #hits = 0
  #reads = 0
  #failures = 0
  #looks = 0
  #paused = 0
  #sessions = 0
  #bytes = 0

  constructor(oneIn: number) {
    this.#oneIn = oneIn
  }

  read(isHit: boolean, age: Milliseconds): void {
    if (!this.isCounting) return
    this.#reads++
    if (isHit) this.#hits++
    if (age > 0) this.#ages.push(age)
  }

  failed(): void {
    if (this.isCounting) this.#failures++
  }

  /** At one node, once a second. */
  look({ cachePaused, cacheSize, cacheBytes }: SessionStats): void {
    if (!this.isCounting) return
    this.#looks++
    if (cachePaused) this.#paused++
    this.#sessions = Math.max(this.#sessions, cacheSize)
    this.#bytes = Math.max(this.#bytes, cacheBytes)
  }

  figures(stats: readonly SessionStats[], counted: Milliseconds, delivered: number): Figures {
    const perSecond = (count: number): number => (count * this.#oneIn * 1000) / counted
    const ages = this.#ages.toSorted((a, b) => a - b)
    const at = (share: number): Milliseconds => ages[Math.floor(share * ages.length)] ?? 0
    const sum = (name: 'bypasses' | 'audited' | 'stale'): number => stats.reduce((all, one) => all + one[name], 0)
    return {
      requests: this.#reads,
      hitShare: this.#hits / this.#reads,
      deliveries: perSecond(delivered),
      readsOfRedis: perSecond(this.#reads - this.#hits),
      pausedShare: this.#paused / this.#looks,
      outdatedShare: ages.length / this.#reads,
      medianAge: at(0.5),
      highAge: at(0.99),
      greatestAge: ages.at(-1) ?? 0,
      cacheSessions: this.#sessions * this.#oneIn,
      cacheBytes: this.#bytes * this.#oneIn,
      failures: this.#failures,
      bypasses: sum('bypasses'),
      audited: sum('audited'),
      stale: sum('stale'),
    }
  }
}
