import { lineChart, type Line } from './chart.ts'
import { grouped, groupedSpread } from './numbers.ts'
import { STORES, type Delays, type ScaleResults, type SizePoint, type StoreName } from './scale-results.ts'
import { variantNamed } from './variants.ts'

const COLOURS: Readonly<Record<StoreName, number>> = { memory: 1, files: 2, Redis: 0 }

/** What grows and what does not, in Markdown. */
export function scaleTables(scale: ScaleResults): string[] {
  const { sizes, floor, processes, pruning, processors, node, leftOut } = scale
  return [
    `Node ${node}. Requests inside one process, without a socket: processor time in µs, medians with quartiles. Koa with ` +
      `AsyncLocalStorage alone takes ${micro(floor.median)} in the same loop. Warm: 1 000 users in turn, all of them in the cache. Cold: up to ` +
      '20 000 users in turn and a cache of 100, so that every request verifies its cookie and asks the store. Memory after ' +
      'it all, in MB; the heap after a collection.',
    '',
    '| store | sessions | warm read | cold read | one key written | heap | RSS |',
    '|---|---|---|---|---|---|---|',
    ...sizes.map(
      ({ store, sessions, warmRead, coldRead, write, heap, rss }) =>
        `| ${store} | ${grouped(sessions)} | ${[warmRead, coldRead, write]
          .map(({ median, low, high }) => `${micro(median)} (${micro(low)}–${micro(high)})`)
          .join(' | ')} | ${heap} | ${rss} |`,
    ),
    '',
    ...(pruning
      ? [
          `**Pruning ${grouped(pruning.sessions)} file sessions** while the process has nothing else to do: how much later than it was ` +
            'due a timer of one millisecond came, in milliseconds.',
          '',
          '| | median | 99 % | longest | took |',
          '|---|---|---|---|---|',
          `| idle | ${delays(pruning.idle)} | |`,
          `| nothing is expired | ${delays(pruning.looking)} | ${pruning.lookingSeconds.toFixed(1)} s |`,
          `| ${grouped(pruning.expired)} are expired, and removed | ${delays(pruning.removing)} | ${pruning.removingSeconds.toFixed(1)} s |`,
          '',
        ]
      : []),
    ...(processes.length > 0
      ? [
          '**Processes**: requests/s of all of them together, any request of a user going to any process. They shared ' +
            `${processors === 1 ? 'one processor' : `${processors} processors`} with the load generator and Redis, so more of ` +
            'them than processors cannot be faster: what counts is that they are not slower.',
          '',
          '| | processes | warm read | one key written |',
          '|---|---|---|---|',
          ...processes
            .filter(({ path }) => path === '/read')
            .map(({ variant, processes: count, requestsPerSecond }) => {
              const write = processes.find(
                (each) => each.variant === variant && each.processes === count && each.path === '/write',
              )
              return `| ${variantNamed(variant).title} | ${count} | ${groupedSpread(requestsPerSecond)} | ${write ? groupedSpread(write.requestsPerSecond) : ''} |`
            }),
          '',
        ]
      : []),
    ...(leftOut.length > 0 ? [`Left out, because the time was too short: ${leftOut.join(', ')}.`, ''] : []),
  ]
}

/** The plots, by file name. */
export function scaleCharts({ sizes, floor, processes, node }: ScaleResults): Map<string, string> {
  const files = new Map<string, string>()
  const stores = STORES.filter((store) => sizes.some((point) => point.store === store))
  const line = (store: StoreName, pick: (point: SizePoint) => number, more: Partial<Line> = {}): Line => ({
    label: store,
    colour: COLOURS[store],
    points: sizes.filter((point) => point.store === store).map((point) => ({ x: point.sessions, y: pick(point) })),
    ...more,
  })
  const xs = sizes.map(({ sessions }) => sessions)
  const alone: Line = {
    label: 'Koa + AsyncLocalStorage',
    colour: 3,
    points: [Math.min(...xs), Math.max(...xs)].map((x) => ({ x, y: floor.median })),
    isDashed: true,
  }
  const costs = (heading: string, pick: (point: SizePoint) => number) => ({
    heading,
    unit: 'µs',
    isLogX: true,
    lines: [...stores.map((store) => line(store, pick)), alone],
  })
  files.set(
    'scale-cost.svg',
    lineChart(
      'Cost of a request as sessions grow',
      `processor time, by the number of sessions that the store holds (Node ${node})`,
      [
        costs('Warm read', ({ warmRead }) => warmRead.median),
        costs('Cold read', ({ coldRead }) => coldRead.median),
        costs('One key written', ({ write }) => write.median),
      ],
    ),
  )
  files.set(
    'scale-memory.svg',
    lineChart('Memory as sessions grow', `by the number of sessions that the store holds (Node ${node})`, [
      {
        heading: 'Heap after a collection, and RSS',
        unit: 'MB',
        isLogX: true,
        isLogY: true,
        lines: stores.flatMap((store) => [
          line(store, ({ heap }) => heap, { label: `${store}, heap` }),
          line(store, ({ rss }) => rss, { label: `${store}, RSS`, isDashed: true }),
        ]),
      },
    ]),
  )
  if (processes.length > 0) {
    const variants = [...new Set(processes.map(({ variant }) => variant))]
    const panel = (heading: string, path: '/read' | '/write') => ({
      heading,
      unit: 'requests/s',
      isLogX: false,
      lines: variants.map((variant, index) => ({
        label: variantNamed(variant).title.replace('koa-server-session, ', ''),
        colour: [3, 2, 0][index] ?? 4,
        points: processes
          .filter((point) => point.variant === variant && point.path === path)
          .map((point) => ({ x: point.processes, y: point.requestsPerSecond.median })),
      })),
    })
    files.set(
      'scale-processes.svg',
      lineChart('Several processes', `requests/s of all of them together, by their number (Node ${node})`, [
        panel('Warm read', '/read'),
        panel('One key written', '/write'),
      ]),
    )
  }
  return files
}

function delays({ median, p99, max }: Delays): string {
  return [median, p99, max].map((value) => value.toFixed(1)).join(' | ')
}

function micro(value: number): string {
  return value.toFixed(1)
}
