import { WHOLE, type MicroResults } from './micro-results.ts'

// Less than this is not worth a line.
const WORTH_A_LINE = 0.005

/** The tables of the steps, in Markdown. */
export function microTables({ node, steps, parts }: MicroResults): string[] {
  const whole = steps.find(({ name }) => name === WHOLE)?.nanoseconds.median
  const lines = (wanted: typeof steps): string[] =>
    wanted.map(
      ({ name, nanoseconds: { median, low, high } }) =>
        `| ${name} | ${grouped(median)} | ${grouped(low)}–${grouped(high)} | ${whole === undefined ? '' : percent(median / whole)} |`,
    )
  const table = (title: string, wanted: typeof steps): string[] =>
    wanted.length === 0
      ? []
      : [`| ${title} | ns | quartiles | of a warm read |`, '|---|---|---|---|', ...lines(wanted), '']
  const ofWarmRead = steps.filter((step) => step.isOfWarmRead)
  return [
    `Node ${node}, one process, no socket. Nanoseconds of processor time, hot: in a server, where caches are cold, the same ` +
      `step takes several times as long. Shares are of the whole request “${WHOLE}”.`,
    '',
    ...table('steps of a warm read', ofWarmRead),
    ...table(
      'other steps',
      steps.filter((step) => !step.isOfWarmRead && !step.isRequest),
    ),
    ...table(
      'whole requests',
      steps.filter((step) => step.isRequest),
    ),
    ...(parts.length === 0
      ? []
      : [
          'Where the processor is during warm reads, by a sampling profiler:',
          '',
          '| | share |',
          '|---|---|',
          ...parts
            .filter(({ share }) => share >= WORTH_A_LINE)
            .map(({ name, share }) => `| ${name} | ${percent(share)} |`),
          '',
        ]),
  ]
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`
}

function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ' ')
}
