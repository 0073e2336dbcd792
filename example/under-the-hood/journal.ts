import type { Instant, Key } from 'koa-server-session'

/** One thing that the library did for a request. */
export interface Step {
  readonly what: string
  /** How often the store was asked for it: 0 or 1. */
  readonly trips: number
  /** How long it took; absent if it took no time of its own. */
  readonly microseconds?: number
}

/** What the library did for one request. */
export interface Line {
  readonly at: Instant
  /** Its method and path. A query may hold what belongs on no screen. */
  readonly request: string
  /** Absent of what was done after the response. */
  readonly status?: number
  /** The process that answered, where several serve the site. */
  readonly by?: string | undefined
  readonly steps: readonly Step[]
}

/** Requests of one kind that came together. Their times are added up. */
export interface Group extends Line {
  /** Names it on the page, and among those of all processes. */
  readonly name: string
  readonly count: number
}

/** Since the journal of this browser began. */
export interface Totals {
  readonly requests: number
  readonly fromCache: number
  readonly trips: number
}

/** What came of an experiment: for each party, what became of it, and whether that is as it should be. */
export interface Result {
  readonly of: Experiment
  readonly rows: readonly { readonly who: string; readonly outcome: string; readonly isGood: boolean }[]
}

export type Experiment = 'race' | 'sign-out' | 'key' | 'redis'

/** What is told to whoever watches this browser's journal. */
export type News = { readonly group: Group; readonly totals: Totals } | { readonly result: Result }

/** What another process must know to have the same journal. */
export type Entry =
  | { readonly id: Key; readonly line: Line }
  | { readonly id: Key; readonly result: Result }
  | { readonly id: Key; readonly next: Key; readonly at: Instant }

/** The journal of one browser. */
export interface Chapter {
  /** Oldest first. */
  readonly groups: readonly Group[]
  readonly results: ReadonlyMap<Experiment, Result>
  readonly totals: Totals
}

type Renaming = Extract<Entry, { next: Key }>

interface OpenChapter extends Chapter {
  groups: Group[]
  results: Map<Experiment, Result>
  totals: Totals
}

/** What the cache answered. A step of this name is counted. */
export const FROM_CACHE = 'from the cache'
const MOST_BROWSERS = 200
const MOST_GROUPS = 40
/** Lines that come within this time, in milliseconds, and say the same are one group. */
const TOGETHER = 1500
const NOTHING: Totals = { requests: 0, fromCache: 0, trips: 0 }

/**
 * What the library did for each browser lately, by the public id of its session. Nobody sees a chapter but the browser
 * that has this session. Kept in memory, and bounded: the browser that was heard of longest ago is forgotten first.
 */
export class Journal {
  readonly #chapters = new Map<Key, OpenChapter>()
  readonly #renamed = new Map<Key, { next: Key; at: Instant }>()
  readonly #watchers = new Map<Key, Set<(news: News) => void>>()
  readonly #name: string
  readonly #tellOthers: ((entry: Entry) => void) | undefined
  #groups = 0

  /** `name`: of this process. `tellOthers`: takes what the other processes of the site must know. */
  constructor(name = '', tellOthers?: (entry: Entry) => void) {
    this.#name = name
    this.#tellOthers = tellOthers
  }

  /** Takes in what this process has seen. */
  add(entry: Entry): void {
    this.hear(entry)
    this.#tellOthers?.(entry)
  }

  /** Takes in what another process has seen. */
  hear(entry: Entry): void {
    if ('next' in entry) this.#rename(entry)
    else if ('result' in entry) {
      const id = this.#renamed.get(entry.id)?.next ?? entry.id // an experiment may outlast the id with which it began
      this.#chapterOf(id).results.set(entry.result.of, entry.result)
      this.#tell(id, { result: entry.result })
    } else this.#write(this.#idAt(entry), entry.line)
  }

  read(id: Key): Chapter {
    return this.#chapters.get(id) ?? { groups: [], results: new Map(), totals: NOTHING }
  }

  /** Returns what ends the watching. */
  watch(id: Key, watcher: (news: News) => void): () => void {
    const watchers = this.#watchers.get(id) ?? new Set()
    this.#watchers.set(id, watchers.add(watcher))
    return () => {
      watchers.delete(watcher)
      if (watchers.size === 0 && this.#watchers.get(id) === watchers) this.#watchers.delete(id)
    }
  }

  #write(id: Key, line: Line): void {
    const chapter = this.#chapterOf(id)
    const { groups, totals } = chapter
    const known = groups.findLastIndex((group) => line.at - group.at < TOGETHER && isAlike(group, line))
    const before = groups[known]
    const group = before ? joined(before, line) : { ...line, name: `${this.#name}${++this.#groups}`, count: 1 }
    if (before) groups[known] = group
    else groups.push(group)
    if (groups.length > MOST_GROUPS) groups.shift()
    chapter.totals = {
      requests: totals.requests + (line.status === undefined ? 0 : 1),
      fromCache: totals.fromCache + (line.steps.some(({ what }) => what === FROM_CACHE) ? 1 : 0),
      trips: totals.trips + tripsOf(line),
    }
    this.#tell(id, { group, totals: chapter.totals })
  }

  /** The browser has a new id, as after a sign-in. Under the old one nobody finds anything any more. */
  #rename({ id, next, at }: Renaming): void {
    const chapter = this.#chapters.get(id)
    this.#chapters.delete(id)
    if (chapter) {
      for (const [of, result] of this.read(next).results) chapter.results.set(of, result) // told already under the new id
      putLast(this.#chapters, next, chapter)
    }
    putLast(this.#renamed, id, { next, at })
  }

  /** What another process saw before the browser got its new id, and told later, belongs there too. */
  #idAt({ id, line }: { id: Key; line: Line }): Key {
    const renamed = this.#renamed.get(id)
    return renamed && line.at <= renamed.at ? renamed.next : id
  }

  #chapterOf(id: Key): OpenChapter {
    const chapter = this.#chapters.get(id) ?? { groups: [], results: new Map(), totals: NOTHING }
    return putLast(this.#chapters, id, chapter)
  }

  #tell(id: Key, news: News): void {
    for (const watcher of this.#watchers.get(id) ?? []) watcher(news)
  }
}

/** Puts a value into a map of bounded size. What was put there longest ago goes. */
export function putLast<Value>(map: Map<string, Value>, key: string, value: Value): Value {
  map.delete(key)
  map.set(key, value)
  if (map.size > MOST_BROWSERS) map.delete(map.keys().next().value as string)
  return value
}

export function tripsOf({ steps }: Line): number {
  return steps.reduce((sum, { trips }) => sum + trips, 0)
}

function isAlike(group: Line, line: Line): boolean {
  return (
    group.request === line.request &&
    group.status === line.status &&
    group.by === line.by &&
    group.steps.length === line.steps.length &&
    group.steps.every(({ what }, index) => what === line.steps[index]?.what)
  )
}

function joined(group: Group, line: Line): Group {
  const steps = group.steps.map((step, index) => {
    const { trips = 0, microseconds } = line.steps[index] ?? {}
    return {
      ...step,
      trips: step.trips + trips,
      ...(microseconds !== undefined && { microseconds: (step.microseconds ?? 0) + microseconds }),
    }
  })
  return { ...group, count: group.count + 1, steps }
}
