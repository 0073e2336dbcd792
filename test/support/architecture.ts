import { posix } from 'node:path'
import { readSources, type Source } from './sources.ts'

/**
 * A file imports only from floors below its own. A file that stands nowhere here must first be given a floor. Half a
 * floor is a landing: a file that builds on its floor and is itself used by the next.
 */
const FLOORS: Readonly<Record<string, number>> = {
  units: 0,
  errors: 0,
  depth: 0,
  deadline: 1,
  id: 1,
  keys: 1,
  agenda: 1,
  ending: 1,
  value: 1,
  diagnostics: 1,
  types: 1,
  record: 1.5,
  store: 2,
  state: 2.5,
  watching: 2.5,
  encryption: 3,
  session: 3,
  commits: 3,
  cache: 3,
  guard: 3,
  conformance: 3,
  'stores/timer': 2.5,
  'stores/*': 3,
  // The one exception on the shelf of stores: it chooses among the others.
  'stores/url': 3.5,
  signals: 3.7,
  lifecycle: 4,
  cookie: 4,
  records: 3.25,
  subjects: 3.5,
  regeneration: 3.5,
  scope: 4,
  response: 4.5,
  arrival: 4.5,
  open: 4.7,
  options: 5,
  request: 5,
  middleware: 6,
  index: 7,
  cli: 7,
}

const MAX_CODE_LINES = 250

const PACKAGES: readonly string[] = ['lru-cache', 'keygrip', 'devalue']

/** Peers: their types may be imported anywhere, they themselves only when their store is used. */
const PEERS: Readonly<Record<string, { readonly loadedBy: string | undefined }>> = {
  koa: { loadedBy: undefined },
  ioredis: { loadedBy: 'stores/redis' },
  'memcache-client': { loadedBy: 'stores/memcached' },
}

/** Declarations and re-exports; what they declare is tested where it is used. */
const WITHOUT_TEST: readonly string[] = ['units', 'types', 'store', 'index']

const UNFINISHED = /\b(?:TODO|FIXME|XXX|HACK)\b/

/** What in the folder of sources breaks the rules, one sentence each, given the folder of its tests. */
export function violations(sourceFolder: string, testFolder: string): string[] {
  const sources = readSources(sourceFolder)
  const names = new Set(sources.map((source) => source.name))
  const tested = new Set(readSources(testFolder).map((test) => posix.basename(test.name)))
  return sources.flatMap((source) => [
    ...importViolations(source, names),
    ...floorlessViolations(source),
    ...sizeViolations(source),
    ...testViolations(source, tested),
    ...unfinishedViolations(source),
  ])
}

/**
 * What has one floor: a file, together with the folder of its own name if it has outgrown one page. Within it, imports
 * are free.
 */
function unitOf(name: string): string {
  const [first = '', second] = name.split('/')
  return first === 'stores' && second !== undefined ? `${first}/${second}` : first
}

function floorOf(name: string): number | undefined {
  const unit = unitOf(name)
  return FLOORS[unit] ?? (unit.startsWith('stores/') ? FLOORS['stores/*'] : undefined)
}

function floorlessViolations({ name }: Source): string[] {
  return floorOf(name) === undefined ? [`${name} has no floor: place it in test/support/architecture.ts`] : []
}

function importViolations({ name, imports }: Source, names: ReadonlySet<string>): string[] {
  return imports.flatMap(({ from, kind }) => {
    if (from === undefined) return [`${name} imports something that is known at run time only`]
    const problem = from.startsWith('.') ? relativeProblem(name, from, names) : packageProblem(name, from, kind)
    return problem === undefined ? [] : [`${name} imports ${from}${problem}`]
  })
}

function relativeProblem(name: string, from: string, names: ReadonlySet<string>): string | undefined {
  const target = posix.join(posix.dirname(name), from).replace(/\.ts$/, '')
  if (!from.endsWith('.ts') || !names.has(target)) return ', which is no file of src'
  if (unitOf(target) === unitOf(name)) return undefined
  const own = floorOf(name)
  const other = floorOf(target)
  if (own === undefined || other === undefined || other < own) return undefined
  return ` from floor ${other}, and stands on floor ${own} itself`
}

function packageProblem(name: string, from: string, kind: 'type' | 'static' | 'dynamic'): string | undefined {
  if (from.startsWith('node:') || PACKAGES.includes(from)) return undefined
  const peer = PEERS[from]
  if (peer === undefined) return ', which is not among the packages that src may use'
  if (kind === 'type') return undefined
  if (kind === 'dynamic' && peer.loadedBy === unitOf(name)) return undefined
  return peer.loadedBy === undefined
    ? ', of which only types may be imported'
    : `, of which only types may be imported, and the rest by import() in ${peer.loadedBy}`
}

function sizeViolations({ name, codeLines }: Source): string[] {
  return codeLines > MAX_CODE_LINES ? [`${name} has ${codeLines} lines of code, more than ${MAX_CODE_LINES}`] : []
}

function testViolations({ name }: Source, tested: ReadonlySet<string>): string[] {
  if (WITHOUT_TEST.includes(name)) return []
  const candidates = [posix.basename(name), posix.basename(unitOf(name))]
  return candidates.some((candidate) => tested.has(`${candidate}.test`)) ? [] : [`${name} has no test of its name`]
}

function unfinishedViolations({ name, text }: Source): string[] {
  const found = UNFINISHED.exec(text)
  if (found === null) return []
  return [`${name}:${text.slice(0, found.index).split('\n').length} says ${found[0]}`]
}
