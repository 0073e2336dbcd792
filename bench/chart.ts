/** One bar: how far it reaches, and what is written beside it. */
export interface Bar {
  readonly label: string
  readonly note: string
  readonly value: number
  readonly low: number
  readonly high: number
  readonly kind: 'ours' | 'bare' | 'other'
}

const WIDTH = 860
const LEFT = 268
const RIGHT = 190
const ROW = 26
const TOP = 62
const SCALE = [0, 0.25, 0.5, 0.75, 1]

/** Bars between 0 and 1 (or a little more), as an SVG that is readable on light and on dark pages. */
export function barChart(title: string, subtitle: string, bars: readonly Bar[]): string {
  const longest = Math.max(1, ...bars.map(({ high }) => high))
  const x = (value: number): number => round(LEFT + (value / longest) * (WIDTH - LEFT - RIGHT))
  const height = TOP + bars.length * ROW + 30
  const bottom = TOP + bars.length * ROW
  const grid = SCALE.map(
    (value) =>
      `<line class="grid" x1="${x(value)}" x2="${x(value)}" y1="${TOP - 4}" y2="${bottom}"/>` +
      `<text class="tick" x="${x(value)}" y="${bottom + 16}" text-anchor="middle">${value}</text>`,
  )
  const rows = bars.map(({ label, note, value, low, high, kind }, index) => {
    const y = TOP + index * ROW
    const middle = y + ROW / 2 - 2
    return (
      `<text class="label ${kind}" x="${LEFT - 10}" y="${middle + 4}" text-anchor="end">${escape(label)}</text>` +
      `<rect class="bar ${kind}" x="${LEFT}" y="${y + 2}" width="${round(x(value) - LEFT)}" height="${ROW - 8}" rx="2"/>` +
      `<line class="range" x1="${x(low)}" x2="${x(high)}" y1="${middle}" y2="${middle}"/>` +
      `<text class="note" x="${Math.max(x(high), x(value)) + 8}" y="${middle + 4}">${escape(note)}</text>`
    )
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escape(title)}">
<style>
text { font: 12.5px system-ui, sans-serif; fill: #24292f }
.title { font-size: 16px; font-weight: 600 }
.subtitle, .tick, .note { fill: #57606a }
.label.ours { font-weight: 600 }
.grid { stroke: #8884; stroke-width: 1 }
.range { stroke: #57606a; stroke-width: 1.5 }
.bar.ours { fill: #1f883d }
.bar.bare { fill: #8c959f88 }
.bar.other { fill: #8c959f }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .subtitle, .tick, .note { fill: #9198a1 }
  .range { stroke: #c9d1d9 }
  .bar.ours { fill: #3fb950 }
}
</style>
<text class="title" x="16" y="24">${escape(title)}</text>
<text class="subtitle" x="16" y="44">${escape(subtitle)}</text>
${grid.join('\n')}
${rows.join('\n')}
</svg>
`
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}

function escape(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/"/g, '&quot;')
}
