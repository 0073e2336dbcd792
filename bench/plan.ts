import type { Scenario } from './scenarios.ts'
import type { Table } from './summary.ts'
import { bareOf, type Variant } from './variants.ts'

/** One launch of all servers of a scenario, with one version of Node. */
export interface Job {
  readonly node: string
  readonly scenario: Scenario
  readonly launch: number
  /** Whether every variant that the scenario compares takes part, or the main ones alone. */
  readonly isFull: boolean
}

/**
 * The launches in the order of what they are worth, so that a run may end after any of them: first every scenario once
 * with the first version of Node, then the headlines with the others, then again and again.
 */
export function jobsOf(nodes: readonly string[], scenarios: readonly Scenario[], launches: number): Job[] {
  const headlines = scenarios.filter(({ isHeadline }) => isHeadline)
  const others = scenarios.filter(({ isHeadline }) => !isHeadline)
  const [first, ...rest] = nodes
  if (first === undefined) return []
  const jobs: Job[] = []
  const add = (node: string, wanted: readonly Scenario[], launch: number): void => {
    for (const scenario of wanted) if (launch < launches) jobs.push({ node, scenario, launch, isFull: node === first })
  }
  add(first, headlines, 0)
  add(first, others, 0)
  for (const node of rest) add(node, headlines, 0)
  add(first, headlines, 1)
  for (const node of rest) add(node, headlines, 1)
  add(first, headlines, 2)
  for (let launch = 1; launch < launches; launch++) {
    add(first, others, launch)
    if (launch > 1) for (const node of rest) add(node, headlines, launch)
    if (launch > 2) add(first, headlines, launch)
  }
  return jobs
}

/** A scenario that is launched this often, and is not steady then, will not be. */
const MOST_LAUNCHES = 12

/**
 * The launch that is worth most once the planned ones are done: the first scenario whose ratios are not steady, with the
 * servers that are not, and those that they are compared with. The headlines come first, and among others the one with
 * the fewest launches. `undefined` if all are steady or hopeless.
 */
export function nextLaunch(
  tables: readonly Table[],
  scenarios: readonly Scenario[],
  variants: readonly Variant[],
): { scenario: Scenario; launch: number; variants: Variant[] } | undefined {
  const candidates = scenarios.flatMap((scenario) => {
    const rows = tables.find((table) => table.scenario === scenario.name)?.rows ?? []
    const launch = Math.max(0, ...rows.map(({ launches }) => launches))
    const shaky = new Set(rows.filter(({ isSteady }) => !isSteady).map(({ variant }) => variant))
    if (shaky.size === 0 || launch >= MOST_LAUNCHES) return []
    const bases = new Set([...variants.filter(({ name }) => shaky.has(name)).map(bareOf), 'koa-als'])
    const taking = variants.filter(({ name }) => shaky.has(name) || bases.has(name))
    return [{ scenario, launch, variants: taking }]
  })
  const rank = ({ scenario, launch }: { scenario: Scenario; launch: number }): number =>
    launch - (scenario.isHeadline ? MOST_LAUNCHES : 0)
  return candidates.toSorted((one, other) => rank(one) - rank(other))[0]
}

/** Decides by what jobs have taken so far whether one more fits into the time. */
export class Budget {
  readonly #until: number
  readonly #now: () => number
  readonly #timesPerServer: number[] = []

  /** `milliseconds` from now, by this clock; Infinity for no limit. */
  constructor(milliseconds: number, now: () => number = Date.now) {
    this.#now = now
    this.#until = now() + milliseconds
  }

  get left(): number {
    return this.#until - this.#now()
  }

  /** What a job of so many servers took. */
  took(milliseconds: number, servers: number): void {
    this.#timesPerServer.push(milliseconds / servers)
  }

  /** Whether a job of so many servers is likely to be done in time. The first one always is. */
  fits(servers: number): boolean {
    if (this.#timesPerServer.length === 0) return true
    // By a slow one of those that were seen: a run that stops early loses a launch, one that is late breaks its word.
    const sorted = this.#timesPerServer.toSorted((a, b) => a - b)
    const slow = sorted[Math.floor((sorted.length - 1) * 0.85)] as number
    return slow * servers <= this.left
  }
}
