/**
 * How deep data may be nested. Some thousands of levels can be written and not be read back, because reading and
 * writing take one call per level, and how many there is room for is nobody's to know.
 */
const MAX_DEPTH = 1000

/** Names of a path that are told: enough to find the place. */
const NAMES_TOLD = 4

/** Where the data goes too deep, as the beginning of a path such as `.a[0][0]`; `undefined` if it nowhere does. */
export function tooDeepAt(value: unknown): string | undefined {
  const path: string[] = []
  // Each object once, in the order in which it is written: so a cycle ends, and is as deep as the writer finds it.
  const seen = new Set<object>()

  function goesTooDeep(inner: unknown, name: string): boolean {
    if (typeof inner !== 'object' || inner === null || seen.has(inner)) return false
    seen.add(inner)
    path.push(name)
    if (path.length > MAX_DEPTH || parts(inner).some(([part, partName]) => goesTooDeep(part, partName))) return true
    path.pop()
    return false
  }

  return goesTooDeep(value, '') ? `${path.slice(0, NAMES_TOLD + 1).join('')}…` : undefined
}

/** What an object consists of. What can be no part of a session is refused by whoever writes it. */
function parts(object: object): [part: unknown, name: string][] {
  if (Array.isArray(object)) return Object.entries(object).map(([name, item]) => [item, `[${name}]`])
  // The keys of a Map may be anything, and so are not told.
  if (object instanceof Map) return [...object].flat().map((part) => [part, ' (inside a Map)'])
  if (object instanceof Set) return [...object].map((item) => [item, ' (inside a Set)'])
  const prototype = Object.getPrototypeOf(object) as object | null
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) return []
  return Object.entries(object).map(([name, part]) => [part, `.${name}`])
}
