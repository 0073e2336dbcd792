import type { Milliseconds } from '../../src/units.ts'
import type { FaultMade, Report } from './campaign.ts'
import type { Operation } from './history.ts'
import type { Violation } from './verify.ts'

const SHOWN = 5
const SHORTLY: Milliseconds = 3000

/** The verdict for people: a table, and the first violations of each rule with what happened around them. */
export function describe(report: Report): string {
  const { options, figures, faults, violations, seconds, directory } = report
  const milliseconds = (length: number): string => `${length.toFixed(1)} ms`
  const rows: [string, string | number][] = [
    ['store', options.store + (options.mutant ? `, broken: ${options.mutant}` : '')],
    ['seed', options.seed],
    ['seconds', seconds.toFixed(0)],
    ['operations / reads', `${figures.operations} / ${figures.reads}`],
    ['acknowledged writes / ends', `${figures.acknowledgedWrites} / ${figures.acknowledgedEnds}`],
    ['unknown / failed reads', `${figures.unknown} / ${figures.failedReads}`],
    ['sessions', figures.sessions],
    [
      'sign-ins by an old id / lists / long requests',
      `${figures.signIns} / ${figures.lists} / ${figures.longRequests}`,
    ],
    ['hits / bypasses / conflicts', `${figures.hits} / ${figures.bypasses} / ${figures.conflicts}`],
    ['audited / stale', `${figures.audited} / ${figures.stale}`],
    ['faults', total(faults)],
    ['stalest read, any process', milliseconds(figures.stalest)],
    ['stalest read, same process', milliseconds(figures.stalestOwn)],
    ['ended session served for', milliseconds(figures.longestServed)],
    ['slowest operation', milliseconds(figures.slowest)],
    ...(figures.doubtful > 0 ? ([['around failovers', figures.doubtful]] as [string, number][]) : []),
    ['violations', violations.length],
  ]
  const width = Math.max(...rows.map(([name]) => name.length))
  return [
    ...rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`),
    ...(directory ? [`history: ${directory}`] : []),
    ...[...byRule(violations)].flatMap(([rule, its]) => [
      '',
      `VIOLATED: ${rule} (${its.length})`,
      ...its.slice(0, SHOWN).map(explain),
    ]),
    ...(violations.length > 0 ? ['', 'Faults before these:', ...faultsBefore(violations, faults).map(when)] : []),
  ].join('\n')
}

function total(faults: Report['faults']): string {
  const counts = new Map<string, number>()
  for (const { name } of faults) counts.set(name, (counts.get(name) ?? 0) + 1)
  const each = [...counts].map(([name, count]) => `${count} ${name}`)
  return each.length === 0 ? '0' : `${faults.length}: ${each.join(', ')}`
}

/** Those that were going on, or had been shortly before one of the violations that are shown. */
function faultsBefore(violations: readonly Violation[], faults: Report['faults']): FaultMade[] {
  const shown = [...byRule(violations).values()].flatMap((its) => its.slice(0, SHOWN))
  return faults.filter(({ from, to }) =>
    shown.some(({ operation: { begun, ended } }) => from < Math.min(ended, begun + SHORTLY) && to > begun - SHORTLY),
  )
}

function when({ name, from, to }: FaultMade): string {
  return `  ${from.toFixed(2).padStart(10)} .. ${to.toFixed(2).padStart(10)}  ${name}`
}

function byRule(violations: readonly Violation[]): Map<string, Violation[]> {
  const rules = new Map<string, Violation[]>()
  for (const violation of violations) rules.set(violation.rule, [...(rules.get(violation.rule) ?? []), violation])
  return rules
}

export function explain({ what, operation, excerpt }: Violation): string {
  return [
    `  session ${operation.session.slice(0, 8)}: ${what}`,
    ...excerpt.map((near) => line(near, near === operation)),
  ].join('\n')
}

function line(operation: Operation, isIt: boolean): string {
  const { process, kind, name, value, begun, ended, outcome, version, result } = operation
  const until = ended < Infinity ? ended.toFixed(2) : 'never'
  const target = name === undefined ? '' : ` ${name}`
  const details = [
    value && `= ${value}`,
    version !== undefined && `version ${version}`,
    result !== undefined && `result ${result}`,
  ]
  return `  ${isIt ? '>' : ' '} ${begun.toFixed(2).padStart(10)} .. ${until.padStart(10)}  ${process.padEnd(5)} ${kind}${target} ${outcome} ${details.filter(Boolean).join(' ')}`
}
