import { grouped } from './numbers.ts'
import { scenarioNamed } from './scenarios.ts'
import { bareOf, variantNamed } from './variants.ts'

/** Instructions for each request of one server, slice by slice. */
export interface Count {
  readonly scenario: string
  readonly variant: string
  readonly slices: readonly number[]
}

export interface Counts {
  readonly node: string
  readonly counts: readonly Count[]
}

/** So many of the lowest slices have to agree. The others were counted before all was compiled. */
const AGREEING = 3
const CLOSE = 0.02

/** Instructions for each request: the middle one of the lowest slices. */
export function instructionsOf({ slices }: Count): number {
  return lowest(slices)[1] ?? slices[0] ?? NaN
}

/** Whether the lowest slices are within 2 % of each other. */
export function isSteady({ slices }: Count): boolean {
  const [least = NaN, , most = NaN] = lowest(slices)
  return most / least <= 1 + CLOSE
}

function lowest(slices: readonly number[]): number[] {
  return slices.toSorted((a, b) => a - b).slice(0, AGREEING)
}

/** A table for each scenario, in Markdown. */
export function countTables({ node, counts }: Counts): string[] {
  const scenarios = [...new Set(counts.map(({ scenario }) => scenario))]
  return [
    `Node ${node} under valgrind. Instructions of the server's process for each request, without those of the kernel, of V8's compilers and of its collector.`,
    '',
    ...scenarios.flatMap((name) =>
      tableOf(
        name,
        counts.filter(({ scenario }) => scenario === name),
      ),
    ),
  ]
}

function tableOf(scenario: string, counts: readonly Count[]): string[] {
  const of = (name: string): number | undefined => {
    const found = counts.find(({ variant }) => variant === name)
    return found && instructionsOf(found)
  }
  const ratio = (instructions: number, floor: number | undefined): string =>
    floor === undefined ? '' : (instructions / floor).toFixed(3)
  return [
    `### ${scenarioNamed(scenario).title}`,
    '',
    '| | instructions | beyond ALS | of ALS | of bare | |',
    '|---|--:|--:|--:|--:|---|',
    ...counts.map((one) => {
      const variant = variantNamed(one.variant)
      const instructions = instructionsOf(one)
      const als = variant.family === 'koa' ? of('koa-als') : undefined
      const beyond = als === undefined ? '' : grouped(instructions - als)
      const cells = [grouped(instructions), beyond, ratio(instructions, als), ratio(instructions, of(bareOf(variant)))]
      return `| ${variant.title} | ${cells.join(' | ')} | ${isSteady(one) ? '' : 'not steady'} |`
    }),
    '',
  ]
}
