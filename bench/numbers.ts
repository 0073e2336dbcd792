import type { Spread } from './statistics.ts'

/** `15 300`. */
export function grouped(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ' ')
}

/** `15 300 (14 900–15 800)`. */
export function groupedSpread({ median, low, high }: Spread): string {
  return `${grouped(median)} (${grouped(low)}–${grouped(high)})`
}

/** `0.83 (0.81–0.84)`, or nothing where there is nothing to compare with. */
export function ratioText(ratio: Spread | undefined): string {
  if (ratio === undefined || !Number.isFinite(ratio.median)) return ''
  return `${ratio.median.toFixed(2)} (${ratio.low.toFixed(2)}–${ratio.high.toFixed(2)})`
}
