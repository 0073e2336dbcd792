import type { Instant, Milliseconds } from '../units.ts'

const UNITS: readonly (readonly [name: string, length: Milliseconds])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
]

/** `2026-11-25T10:04:20Z`: in UTC, so that it means the same everywhere, and of equal length in every line. */
export function instant(at: Instant): string {
  return new Date(at).toISOString().replace(/\.\d+Z$/, 'Z')
}

/** A length in the largest unit that it fills, and the rest in the next unit: `2 h 5 min`. */
export function duration(length: Milliseconds): string {
  const index = UNITS.findIndex(([, unit]) => length >= unit)
  if (index === -1) return `${Math.max(0, Math.round(length))} ms`
  const [name, unit] = UNITS[index] as (typeof UNITS)[number]
  const [smallerName, smaller] = UNITS[index + 1] ?? ['', Infinity]
  const rest = Math.floor((length % unit) / smaller)
  return `${Math.floor(length / unit)} ${name}${rest > 0 ? ` ${rest} ${smallerName}` : ''}`
}

/** `312 B`, `20.1 kB`, `3.8 MB`. */
export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`
  const isLarge = bytes >= 1_000_000
  return `${(bytes / (isLarge ? 1_000_000 : 1000)).toFixed(1)} ${isLarge ? 'MB' : 'kB'}`
}

/** `1 session`, `2 sessions`. */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}
