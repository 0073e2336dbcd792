/** One bar: how far it reaches, and what is written beside it. */
export interface Bar {
  readonly label: string
  readonly note: string
  readonly value: number
  readonly low: number
  readonly high: number
  readonly kind: 'ours' | 'bare' | 'other'
}

/** Bars under a heading. */
export interface BarPanel {
  readonly heading: string
  readonly bars: readonly Bar[]
}

/** One line of a plot. */
export interface Line {
  readonly label: string
  readonly points: readonly { readonly x: number; readonly y: number }[]
  /** Which of the colours; lines that belong together share one. */
  readonly colour: number
  readonly isDashed?: boolean
}

/** A plot of lines, all of which share their axes. */
export interface LinePanel {
  readonly heading: string
  /** What the vertical axis shows. */
  readonly unit: string
  readonly lines: readonly Line[]
  /** Whether each step to the right multiplies. */
  readonly isLogX: boolean
  readonly isLogY?: boolean
}

const WIDTH = 860

// The page behind it may be of either kind, whatever the reader's system prefers: so the chart brings its own ground.
const STYLE = `<style>
text { font: 14px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #1f2328 }
.ground { fill: #ffffff; stroke: #d1d9e0 }
.title { font-size: 18px; font-weight: 600 }
.heading { font-size: 15px; font-weight: 600 }
.subtitle, .tick, .note { fill: #59636e }
.tick { font-size: 13px }
.label.ours { font-weight: 600 }
.grid { stroke: #d1d9e0; stroke-width: 1 }
.range { stroke: #59636e; stroke-width: 1.5 }
.bar.ours { fill: #1f883d }
.bar.bare { fill: #c8d1da }
.bar.other { fill: #818b98 }
.line { fill: none; stroke-width: 2.5 }
.dashed { stroke-dasharray: 6 4 }
.c0 { stroke: #1f883d } .c1 { stroke: #0969da } .c2 { stroke: #bc4c00 } .c3 { stroke: #818b98 } .c4 { stroke: #8250df }
.d0 { fill: #1f883d } .d1 { fill: #0969da } .d2 { fill: #bc4c00 } .d3 { fill: #59636e } .d4 { fill: #8250df }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .ground { fill: #0d1117; stroke: #3d444d }
  .subtitle, .tick, .note { fill: #9198a1 }
  .grid { stroke: #2f353d }
  .range { stroke: #c9d1d9 }
  .bar.ours { fill: #3fb950 }
  .bar.bare { fill: #3d444d }
  .bar.other { fill: #767f8a }
  .c0 { stroke: #3fb950 } .c1 { stroke: #4493f8 } .c2 { stroke: #f0883e } .c4 { stroke: #ab7df8 }
  .d0 { fill: #3fb950 } .d1 { fill: #4493f8 } .d2 { fill: #f0883e } .d3 { fill: #9198a1 } .d4 { fill: #ab7df8 }
}
</style>`

const LABELS = 312
const NOTES = 190
const ROW = 28
const TITLE = 66
const HEADING = 34
const QUARTERS = [0, 0.25, 0.5, 0.75, 1]

/** Bars from 0 on, panel under panel. */
export function barChart(title: string, subtitle: string, panels: readonly BarPanel[]): string {
  const longest = Math.max(1, ...panels.flatMap(({ bars }) => bars.map(({ high }) => high)))
  const scale = longest < 2 ? QUARTERS : Array.from({ length: Math.floor(longest) + 1 }, (_, tick) => tick)
  const x = (value: number): number => round(LABELS + (value / longest) * (WIDTH - LABELS - NOTES))
  let y = TITLE
  const drawn = panels.map(({ heading, bars }) => {
    const top = y + (heading === '' ? 0 : HEADING)
    const bottom = top + bars.length * ROW
    y = bottom + 32
    return [
      heading === '' ? '' : text('heading', 20, top - 12, heading),
      ...scale.map(
        (value) =>
          `<line class="grid" x1="${x(value)}" x2="${x(value)}" y1="${top - 4}" y2="${bottom}"/>` +
          text('tick', x(value), bottom + 17, String(value), 'middle'),
      ),
      ...bars.map((bar, index) => drawnBar(bar, top + index * ROW, x)),
    ].join('\n')
  })
  return page(title, subtitle, y + 4, drawn)
}

function drawnBar({ label, note, value, low, high, kind }: Bar, y: number, x: (value: number) => number): string {
  const middle = y + ROW / 2 - 1
  return (
    text(`label ${kind}`, LABELS - 10, middle + 5, label, 'end') +
    `<rect class="bar ${kind}" x="${LABELS}" y="${y + 3}" width="${round(x(value) - LABELS)}" height="${ROW - 8}" rx="2"/>` +
    `<line class="range" x1="${x(low)}" x2="${x(high)}" y1="${middle}" y2="${middle}"/>` +
    text('note', Math.max(x(high), x(value)) + 8, middle + 5, note)
  )
}

const PLOT_LEFT = 70
const PLOT_RIGHT = 250
const PLOT_HEIGHT = 230
/** Between the labels of two lines. */
const LABEL_HEIGHT = 18

/** Plots of lines, panel under panel, with the name of each line at its end. */
export function lineChart(title: string, subtitle: string, panels: readonly LinePanel[]): string {
  let y = TITLE
  const drawn = panels.map((panel) => {
    const top = y + HEADING
    y = top + PLOT_HEIGHT + 46
    return drawnPlot(panel, top)
  })
  return page(title, subtitle, y, drawn)
}

function drawnPlot({ heading, unit, lines, isLogX, isLogY = false }: LinePanel, top: number): string {
  const points = lines.flatMap((line) => line.points)
  const xs = [...new Set(points.map(({ x }) => x))].toSorted((a, b) => a - b)
  const ticks = isLogY ? powers(points.map(({ y }) => y)) : steps(Math.max(...points.map(({ y }) => y)))
  const bottom = top + PLOT_HEIGHT
  const across = scaleOf(xs[0] ?? 0, xs.at(-1) ?? 1, PLOT_LEFT, WIDTH - PLOT_RIGHT, isLogX)
  const up = scaleOf(ticks[0] ?? 0, ticks.at(-1) ?? 1, bottom, top, isLogY)
  const labels = spread(
    lines.map(({ points: own }) => up(own.at(-1)?.y ?? 0)),
    top,
    bottom,
  )
  return [
    text('heading', 20, top - 14, `${heading} (${unit})`),
    ...ticks.map(
      (value) =>
        `<line class="grid" x1="${PLOT_LEFT}" x2="${WIDTH - PLOT_RIGHT}" y1="${up(value)}" y2="${up(value)}"/>` +
        text('tick', PLOT_LEFT - 8, up(value) + 5, grouped(value), 'end'),
    ),
    ...xs.map((value) => text('tick', across(value), bottom + 20, grouped(value), 'middle')),
    ...lines.map(({ label, points: own, colour, isDashed }, index) => {
      const path = own.map(({ x, y }) => `${across(x)},${up(y)}`).join(' ')
      const dots = own.map(({ x, y }) => `<circle class="d${colour}" cx="${across(x)}" cy="${up(y)}" r="3.5"/>`)
      return (
        `<polyline class="line c${colour}${isDashed ? ' dashed' : ''}" points="${path}"/>${dots.join('')}` +
        text(`d${colour}`, WIDTH - PLOT_RIGHT + 14, (labels[index] as number) + 5, label)
      )
    }),
  ].join('\n')
}

function scaleOf(from: number, to: number, start: number, end: number, isLog: boolean): (value: number) => number {
  const place = (value: number): number => (isLog ? Math.log(value) : value)
  const length = place(to) - place(from) || 1
  return (value) => round(start + ((place(value) - place(from)) / length) * (end - start))
}

/** About five round numbers from 0 to at least `most`. */
function steps(most: number): number[] {
  const rough = most / 5
  const power = 10 ** Math.floor(Math.log10(rough || 1))
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough) as number) * power
  return Array.from({ length: Math.ceil(most / step) + 1 }, (_, index) => Number((index * step).toPrecision(6)))
}

function powers(values: readonly number[]): number[] {
  const low = Math.floor(Math.log10(Math.min(...values)))
  const high = Math.ceil(Math.log10(Math.max(...values)))
  return Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index))
}

/** Moves labels apart that would lie upon each other. */
function spread(wanted: readonly number[], top: number, bottom: number): number[] {
  const order = wanted.map((y, index) => ({ y, index })).toSorted((a, b) => a.y - b.y)
  let previous = top - LABEL_HEIGHT
  for (const label of order) previous = label.y = Math.max(label.y, previous + LABEL_HEIGHT)
  let next = bottom + LABEL_HEIGHT
  for (const label of order.toReversed()) next = label.y = Math.min(label.y, next - LABEL_HEIGHT)
  const placed: number[] = []
  for (const { y, index } of order) placed[index] = round(y)
  return placed
}

function page(title: string, subtitle: string, height: number, drawn: readonly string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escape(title)}">
${STYLE}
<rect class="ground" x="0.5" y="0.5" width="${WIDTH - 1}" height="${height - 1}" rx="6"/>
${text('title', 20, 30, title)}
${text('subtitle', 20, 52, subtitle)}
${drawn.join('\n')}
</svg>
`
}

function text(kind: string, x: number, y: number, words: string, anchor?: 'middle' | 'end'): string {
  return `<text class="${kind}" x="${round(x)}" y="${round(y)}"${anchor ? ` text-anchor="${anchor}"` : ''}>${escape(words)}</text>`
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}

function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ' ')
}

function escape(words: string): string {
  return words.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/"/g, '&quot;')
}
