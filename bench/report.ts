import { barChart, type Bar, type BarPanel } from './chart.ts'
import { PARALLEL_WRITERS } from './check.ts'
import { microTables } from './micro-report.ts'
import { grouped, groupedSpread, ratioText } from './numbers.ts'
import { scaleCharts, scaleTables } from './scale-report.ts'
import { scenarioNamed } from './scenarios.ts'
import type { Machine, Row, Summary, Table } from './summary.ts'
import { DEARER, variantNamed } from './variants.ts'

/** Above it, something else was running. */
const QUIET_LOAD = 0.5

/** RESULTS.md. */
export function markdown(summary: Summary): string {
  const { plan, nodes, tables, micro, scale } = summary
  const [first] = nodes
  const files = charts(summary)
  return `${[
    '# Results',
    '',
    'Written by `npm run bench`; every number is from one run of it, and all of them are in [results.json](results.json). How ' +
      'it measures, and how to read this: [README.md](README.md).',
    '',
    ...machineLines(summary),
    '',
    ...(files.has('main.svg') ? ['![Warm read and write](main.svg)', ''] : []),
    ...racesTable(summary),
    ...(tables.length > 0 ? explanations(plan) : []),
    ...tables.filter(({ node }) => node === first).flatMap((table) => section(table, files)),
    ...nodesTable(summary),
    ...(micro ? ['## The steps of a request', '', ...microTables(micro)] : []),
    ...(scale
      ? [
          '## As it grows',
          '',
          ...[...scaleCharts(scale).keys()].flatMap((name) => [`![${name}](${name})`, '']),
          ...scaleTables(scale),
        ]
      : []),
  ]
    .join('\n')
    .trimEnd()}\n`
}

function explanations({ rounds, slice, warmUp }: Summary['plan']): string[] {
  return [
    '## How the tables read',
    '',
    `${rounds} interleaved rounds of ${slice} ms in every launch of a server, after ${grouped(warmUp)} requests to warm up ` +
      '(or 3 s of them). Figures are medians over the launches, in brackets their quartiles (of all slices, if there were fewer ' +
      'than four launches).',
    '',
    '- **CPU µs**: processor time of the server for each request, all threads included. **of bare**: that time divided by the time of the bare framework (Koa, Express or Fastify alone) in the same round, so 1 is no session at all; **of ALS**: divided by that of Koa with AsyncLocalStorage alone.',
    '- **not steady**: the launches do not agree. The quartiles of *of bare* are more than 5 % from the median, or there were fewer than four launches. Compare such a row with nothing.',
    '- **requests/s**, **speed**: requests in each second, and that number divided by the one of the bare framework in the same round. Koa or Express users can have this part of their speed left.',
    '- **busy**: how much of the time the server was running. Well below 1, the load generator or Redis was the limit, and requests/s says less than the processor time.',
    '- **store**: what each request asked of the store: Redis commands (those inside a script in brackets: no round trips), or calls of the store.',
    '- **heap**, **RSS**: MB after the launch, the heap after a collection.',
    '',
  ]
}

function machineLines({ machine, nodes }: Summary): string[] {
  const { date, version, processors, memory, system, redis, isPinned, peers, minutes } = machine
  return [
    `- ${date}, koa-server-session ${version}, Node ${nodes.join(', ')}, Redis ${redis}; ${minutes} minutes`,
    `- ${processors}, ${memory}, ${system}`,
    `- ${isPinned ? 'server on one processor, load generator and Redis on another' : 'servers and load generator share the processors: they could not be tied to one each'}`,
    `- ${Object.entries(peers)
      .map(([name, number]) => `${name} ${number}`)
      .join(', ')}`,
    ...(isQuiet(machine)
      ? []
      : [
          `- **The machine was not quiet**: a load of ${machine.loadBefore.toFixed(1)} before the run. Do not quote these figures.`,
        ]),
  ]
}

function isQuiet({ loadBefore }: Machine): boolean {
  return loadBefore <= QUIET_LOAD
}

function racesTable({ races }: Summary): string[] {
  if (races.length === 0) return []
  const lines = races.map(({ variant, races: { survivors, comesBack, oldCookieWorks } }) => {
    const after = comesBack ? 'logged in again' : oldCookieWorks ? 'logged out, but the old cookie works' : 'logged out'
    return `| ${titleOf(variant)} | ${survivors} of ${PARALLEL_WRITERS} | ${after} |`
  })
  return [
    '## Two races, before anything is timed',
    '',
    `${PARALLEL_WRITERS} parallel requests of one session each set another key, and answer 20 ms later: how many keys are there ` +
      'afterwards? And who logs out while a slow request is under way, which then sets a key: is he logged in when it has ended?',
    '',
    '| | parallel writes that survive | logout during a slow request |',
    '|---|---|---|',
    ...lines,
    '',
  ]
}

function section({ node, scenario: name, rows, failures }: Table, files: ReadonlyMap<string, string>): string[] {
  const { title, means } = scenarioNamed(name)
  const launches = Math.max(...rows.map((row) => row.launches))
  return [
    `## ${title}`,
    '',
    `${means[0]?.toUpperCase()}${means.slice(1)}. Node ${node}, ${launches} ${launches === 1 ? 'launch' : 'launches'}.`,
    '',
    ...(files.has(`${name}.svg`) ? [`![${title}](${name}.svg)`, ''] : []),
    '| | CPU µs | of bare | of ALS | requests/s | speed | busy | store | heap | RSS |',
    '|---|---|---|---|---|---|---|---|---|---|',
    ...rows.map(
      (row) =>
        `| ${titleOf(row.variant)} | ${row.cpu.median.toFixed(1)} | ${ratioText(row.cpuOfBare)}${row.isSteady ? '' : ', not steady'} ` +
        `| ${ratioText(row.cpuOfAls)} | ${groupedSpread(row.requestsPerSecond)} | ${row.ofBare.median.toFixed(2)} ` +
        `| ${row.busy.toFixed(2)} | ${row.store} ` +
        `| ${row.heap.toFixed(0)} | ${row.rss.toFixed(0)} |`,
    ),
    '',
    ...contradictions(rows),
    ...failures.flatMap(({ variant, why }) => [`Not timed: ${variantNamed(variant).title}, because ${why}.`, '']),
  ]
}

/** A word on each row that was measured below another one of which it does all the work, and more. */
function contradictions(rows: readonly Row[]): string[] {
  return DEARER.flatMap(([cheaper, dearer]) => {
    const [one, other] = [cheaper, dearer].map((name) => rows.find(({ variant }) => variant === name))
    if (!one || !other || other.cpuOfBare.median >= one.cpuOfBare.median) return []
    return [
      `*${variantNamed(dearer).title}* was measured below *${variantNamed(cheaper).title}*, although it does all that this one ` +
        'does, and more: their difference is less than this run can tell.',
      '',
    ]
  })
}

/** The headlines beside each other, with every version of Node. */
function nodesTable({ nodes, tables }: Summary): string[] {
  if (nodes.length < 2) return []
  const headlines = [...new Set(tables.map(({ scenario }) => scenario))].filter(
    (name) => scenarioNamed(name).isHeadline,
  )
  return headlines.flatMap((name) => {
    const own = nodes.map((node) => tables.find((table) => table.node === node && table.scenario === name))
    const variants = [...new Set(own.flatMap((table) => table?.rows.map(({ variant }) => variant) ?? []))].filter(
      (variant) => variantNamed(variant).isMain,
    )
    return [
      `## ${scenarioNamed(name).title}, by version of Node`,
      '',
      'Processor time for each request in µs, and in brackets its ratio to the bare framework with the same version.',
      '',
      `| | ${nodes.map((node, index) => `${node} (${launchesOf(own[index])})`).join(' | ')} |`,
      `|---|${nodes.map(() => '---|').join('')}`,
      ...variants.map(
        (variant) =>
          `| ${titleOf(variant)} | ${own
            .map((table) => {
              const row = table?.rows.find((each) => each.variant === variant)
              return row ? `${row.cpu.median.toFixed(1)} (${row.cpuOfBare.median.toFixed(2)})` : ''
            })
            .join(' | ')} |`,
      ),
      '',
    ]
  })
}

function launchesOf(table: Table | undefined): string {
  const count = Math.max(0, ...(table?.rows.map(({ launches }) => launches) ?? []))
  return `${count} ${count === 1 ? 'launch' : 'launches'}`
}

/** The charts, by file name. */
export function charts(summary: Summary): Map<string, string> {
  const files = new Map<string, string>()
  const [node] = summary.nodes
  const tables = summary.tables.filter((table) => table.node === node && table.rows.length > 0)
  const main = mainTables(summary)
  if (main.length > 0) {
    files.set(
      'main.svg',
      barChart(
        'A session in every request',
        `processor time for each request; 1 is the bare framework, without a session (Node ${node}, ${summary.machine.date})`,
        main.map(({ scenario, rows }): BarPanel => ({ heading: scenarioNamed(scenario).title, bars: rows.map(barOf) })),
      ),
    )
  }
  for (const { scenario, rows } of tables) {
    const { title, means } = scenarioNamed(scenario)
    const subtitle = `processor time for each request, 1 is the bare framework; ${means}`
    files.set(`${scenario}.svg`, barChart(title, subtitle, [{ heading: '', bars: rows.map(barOf) }]))
  }
  for (const [name, svg] of summary.scale ? scaleCharts(summary.scale) : []) files.set(name, svg)
  return files
}

function barOf({ variant, cpuOfBare, cpu, isSteady }: Row): Bar {
  const { title, isOurs, isBare } = variantNamed(variant)
  return {
    label: title,
    note: `${cpuOfBare.median.toFixed(2)}${isSteady ? '' : ', not steady'} · ${cpu.median.toFixed(0)} µs`,
    value: cpuOfBare.median,
    low: cpuOfBare.low,
    high: cpuOfBare.high,
    kind: isOurs ? 'ours' : isBare ? 'bare' : 'other',
  }
}

/** Those of the main chart: the headlines with the first version of Node, without the bare servers of other frameworks. */
function mainTables({ nodes, tables }: Summary): Table[] {
  return tables
    .filter(({ node, scenario }) => node === nodes[0] && scenarioNamed(scenario).isHeadline)
    .map((table) => ({
      ...table,
      rows: table.rows.filter(({ variant }) => {
        const { isBare, family } = variantNamed(variant)
        return !isBare || family === 'koa'
      }),
    }))
    .filter(({ rows }) => rows.length > 0)
}

/** What stands in the README between its two comments. */
export function readmeBlock(summary: Summary): string {
  const [read, write] = mainTables(summary)
  const { machine, nodes } = summary
  if (!read || !write) return ''
  const figure = (row: Row | undefined): string =>
    row
      ? `${row.cpuOfBare.median.toFixed(2)}${row.isSteady ? '' : ' ~'} | ${row.cpu.median.toFixed(0)} | ${row.store}`
      : ' | | '
  const lines = read.rows.map((row) => {
    const other = write.rows.find(({ variant }) => variant === row.variant)
    return `| ${titleOf(row.variant)} | ${figure(row)} | ${figure(other)} |`
  })
  const isShaky = [...read.rows, ...write.rows].some(({ isSteady }) => !isSteady)
  return [
    '![Processor time of a request, relative to the bare framework](bench/main.svg)',
    '',
    '| | warm read, of bare | CPU µs | store | write, of bare | CPU µs | store |',
    '|---|---|---|---|---|---|---|',
    ...lines,
    '',
    'Of bare: the processor time of a request, divided by that of the framework alone; 1 is no session at all.' +
      (isShaky ? ' ~: the launches of the server do not agree within 5 %.' : '') +
      words(contradictions(read.rows), contradictions(write.rows)),
    '',
    `Node ${nodes[0]}, ${machine.processors}, ${machine.date}${isQuiet(machine) ? '' : ', **while other work was running: not to be quoted**'}. ` +
      'More scenarios, versions of Node, memory and scale: [bench/RESULTS.md](https://github.com/OWNER/koa-server-session/blob/main/bench/RESULTS.md). On your machine: `npm run bench:quick` (two minutes), `npm run bench`.',
  ].join('\n')
}

/** Lines of a page as one paragraph, after a blank. */
function words(...lines: readonly string[][]): string {
  return [...new Set(lines.flat())]
    .filter((line) => line !== '')
    .map((line) => ` ${line}`)
    .join('')
}

function titleOf(variant: string): string {
  const { title, isOurs } = variantNamed(variant)
  return isOurs ? `**${title}**` : title
}
