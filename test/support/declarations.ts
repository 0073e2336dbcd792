import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** One name that a package exports, or a member of it: `Sessions`, `Sessions.get`. */
export interface Declared {
  readonly name: string
  /** As its comment says it, without the comment's marks; empty if it has none. */
  readonly doc: string
}

/**
 * What the declaration files declare under the names that `entry` exports, members included. Reads the layout in which
 * the compiler writes them: one declaration or member begins on a line, four blanks deeper than what it belongs to.
 */
export function exportedBy(entry: string): Declared[] {
  const { own, from } = exportsOf(entry)
  return [
    ...declarationsIn(entry, (name) => own.includes(name)),
    ...from.flatMap(({ file, names }) => declarationsIn(file, (name) => names === 'all' || names.includes(name))),
  ]
}

/** The declaration files that one can get to from here. */
export function reachableFrom(entry: string, seen: Set<string> = new Set()): Set<string> {
  if (seen.has(entry)) return seen
  seen.add(entry)
  for (const [, path = ''] of withoutComments(readFileSync(entry, 'utf8')).matchAll(
    /(?:from|import\()\s*['"](\.[^'"]+)['"]/g,
  )) {
    reachableFrom(declarationFile(entry, path), seen)
  }
  return seen
}

/** The text with every comment left out. */
export function withoutComments(text: string): string {
  return text.replace(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, '')
}

function exportsOf(entry: string): { own: string[]; from: { file: string; names: string[] | 'all' }[] } {
  const text = withoutComments(readFileSync(entry, 'utf8'))
  const from: { file: string; names: string[] | 'all' }[] = []
  for (const [, list, path = ''] of text.matchAll(/^export (?:type )?(\*|\{[^}]*\}) from '(\.[^']+)'/gm)) {
    const names =
      list === '*' ? 'all' : [...(list ?? '').matchAll(/(\w+)(?: as \w+)?\s*[,}]/g)].map(([, name]) => name as string)
    from.push({ file: declarationFile(entry, path), names })
  }
  return { own: [...text.matchAll(DECLARATION)].map(([, name]) => name as string), from }
}

const DECLARATION = /^export (?:declare )?(?:abstract )?(?:function|class|interface|type|const) (\w+)/gm
const MEMBER = /^(?:static |readonly |get |set )*(?:(\w+)|\[[^\]]*\])?\??\s*[(:<]/

function declarationsIn(file: string, isWanted: (name: string) => boolean): Declared[] {
  const declared: Declared[] = []
  let doc: string[] | undefined
  let isComment = false
  /** The name whose members follow, at each depth. */
  const path: string[] = []
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const code = line.trim()
    if (isComment || code.startsWith('/**')) {
      doc = isComment ? [...(doc ?? []), code] : [code]
      isComment = !code.endsWith('*/')
      continue
    }
    const depth = Math.floor((line.length - line.trimStart().length) / 4)
    // The alternatives of a type are explained by its own comment.
    const exported = /^export (?:declare )?(?:abstract )?(?:function|class|interface|type|const) (\w+)/.exec(line)?.[1]
    const augmented = depth === 1 && /^interface (\w+)/.exec(code)?.[1]
    if (depth === 0) path.splice(0, path.length, ...(exported !== undefined && isWanted(exported) ? [exported] : []))
    if (line.startsWith('export type')) path.length = 0
    if (line.startsWith('declare module')) path.splice(0, path.length, 'module')
    const member = depth > 0 && path.length >= depth && !augmented ? memberName(code) : undefined
    if (depth > 0 && code !== '') path.splice(depth, path.length, ...(member === undefined ? [] : [member]))
    if (augmented && path[0] === 'module') path.splice(1, path.length, augmented)
    const name = exported ?? member
    if (name !== undefined && (path.length === depth + 1 || (exported !== undefined && isWanted(exported))))
      declared.push({ name: path.join('.') || name, doc: textOf(doc) })
    doc = undefined
  }
  // Of several signatures, one comment is enough.
  const byName = new Map<string, Declared>()
  for (const one of declared) if (!byName.get(one.name)?.doc) byName.set(one.name, one)
  return [...byName.values()]
}

function memberName(code: string): string | undefined {
  if (/^(?:private|protected|constructor|#|[})\]|&])/.test(code)) return undefined
  const match = MEMBER.exec(code)
  return match ? (match[1] ?? '()') : undefined
}

function textOf(doc: readonly string[] | undefined): string {
  return (doc ?? [])
    .map((line) => line.replace(/^\/?\*+\/?|\*\/$/g, '').trim())
    .join(' ')
    .trim()
}

function declarationFile(entry: string, path: string): string {
  return join(dirname(entry), path.replace(/\.[jt]s$/, '.d.ts'))
}
