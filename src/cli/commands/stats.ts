import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import { DONE, type Command } from '../command.ts'
import { duration, size } from '../format.ts'
import { ageOf, canList, cannotList, lineOf, visitAll } from '../sessions.ts'

interface Spread {
  readonly min: number
  /** Exact to three digits. */
  readonly median: number
  readonly max: number
}

/** The minimum, median and maximum of numbers, without keeping the numbers. */
class Numbers {
  readonly #histogram: RecordableHistogram = createHistogram({ figures: 3 })
  #min = Infinity
  #max = 0
  total = 0

  add(number: number): void {
    // A histogram cannot record 0.
    this.#histogram.record(Math.max(1, Math.round(number)))
    this.#min = Math.min(this.#min, number)
    this.#max = Math.max(this.#max, number)
    this.total += number
  }

  get spread(): Spread | undefined {
    if (this.#histogram.count === 0) return undefined
    const median = Math.min(this.#max, Math.max(this.#min, this.#histogram.percentile(50)))
    return { min: this.#min, median, max: this.#max }
  }
}

export const stats: Command = {
  summary: 'count the live sessions, their sizes and their ages',
  usage: '[--json] [--store URL]',
  options: ['json', 'store'],
  operands: { least: 0, most: 0, what: '' },
  details: `Reads every session. With --json: bytes, and ages in milliseconds; a median is exact to three digits.`,
  async run(call) {
    const store = call.openStore()
    if (!canList(store)) return cannotList(call, store)
    const { values, terminal, signal } = call
    const counts = { sessions: 0, identified: 0, anonymous: 0, encrypted: 0, unreadable: 0 }
    const bytes = new Numbers()
    const ages = new Numbers()
    const progress = terminal.progress('Counting sessions')
    await visitAll(store, signal, progress, 'Looking at sessions', async (sighting) => {
      const line = lineOf(sighting)
      if (!line) return
      counts.sessions++
      counts[line.state ?? (line.subject === undefined ? 'anonymous' : 'identified')]++
      if (line.bytes !== undefined) bytes.add(line.bytes)
      const age = ageOf(line)
      if (age !== undefined) ages.add(age)
    })
    progress.end()
    if (signal.aborted) return DONE
    if (values.json) {
      const { total } = bytes
      const document = {
        store: store.name,
        ...counts,
        bytes: bytes.spread && { ...bytes.spread, total },
        age: ages.spread,
      }
      await terminal.json(document)
      return DONE
    }
    const rows: [name: string, value: string | undefined][] = [
      ['store', store.name],
      ['sessions', String(counts.sessions)],
      ['  identified', String(counts.identified)],
      ['  anonymous', String(counts.anonymous)],
      ['  encrypted', counts.encrypted > 0 ? `${counts.encrypted}  (set SESSION_KEY to read them)` : undefined],
      ['  unreadable', counts.unreadable > 0 ? String(counts.unreadable) : undefined],
      ['size', spreadOf(bytes.spread, size)],
      ['  in all', bytes.spread && size(bytes.total)],
      ['age', spreadOf(ages.spread, duration)],
    ]
    for (const [name, value] of rows) {
      if (value !== undefined) await terminal.line({ style: 'dim', text: name.padEnd(12) }, `  ${value}`)
    }
    return DONE
  },
}

function spreadOf(spread: Spread | undefined, written: (number: number) => string): string | undefined {
  return spread && `${written(spread.min)} to ${written(spread.max)}, median ${written(spread.median)}`
}
