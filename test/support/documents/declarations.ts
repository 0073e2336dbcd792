import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** The declaration files that one can get to from here. */
export function reachableFrom(entry: string, seen: Set<string> = new Set()): Set<string> {
  if (seen.has(entry)) return seen
  seen.add(entry)
  for (const name of importsOf(entry)) {
    if (name.startsWith('.')) reachableFrom(join(dirname(entry), name.replace(/\.[jt]s$/, '.d.ts')), seen)
  }
  return seen
}

/** What a declaration file takes from elsewhere: other files, and packages. */
export function importsOf(file: string): string[] {
  return [...codeOf(file).matchAll(/(?:from\s+|import\()['"]([^'"]+)['"]/g)].map(([, name]) => name as string)
}

/** The text without its comments. */
export function codeOf(file: string): string {
  return readFileSync(file, 'utf8').replace(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, '')
}
