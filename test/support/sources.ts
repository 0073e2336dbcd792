import { readdirSync, readFileSync } from 'node:fs'
import { join, sep } from 'node:path'

/** One TypeScript file, as the architecture test sees it. */
export interface Source {
  /** The path below its folder, with `/` and without `.ts`: `stores/file`. */
  readonly name: string
  readonly text: string
  /** Lines that are neither blank nor only comment. */
  readonly codeLines: number
  readonly imports: readonly Import[]
}

interface Import {
  /** What stands between the quotes; `undefined` where it is known at run time only. */
  readonly from: string | undefined
  readonly kind: 'type' | 'static' | 'dynamic'
}

/** All TypeScript files below `folder`, in the order of their names. */
export function readSources(folder: string): Source[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .toSorted()
    .map((file) => {
      const text = readFileSync(join(folder, file), 'utf8')
      const code = withoutComments(text)
      return {
        name: file.split(sep).join('/').replace(/\.ts$/, ''),
        text,
        codeLines: code.split('\n').filter((line) => line.trim() !== '').length,
        imports: importsOf(code),
      }
    })
}

const IMPORT_STATEMENT =
  /^\s*(?:import|export)\s+(?<type>type\s+(?!from\b))?(?:[\w$*{][^'"`;()]*?\sfrom\s*)(?<from>['"][^'"]+['"])/gm
const BARE_IMPORT = /^\s*import\s*(?<from>['"][^'"]+['"])/gm
const IMPORT_CALL = /(?<typeof>\btypeof\s+)?(?<![.\w$])(?:import|require)\s*\(\s*(?<from>['"][^'"]+['"]\s*[,)])?/g

function importsOf(code: string): Import[] {
  const imports: Import[] = []
  for (const { groups } of code.matchAll(IMPORT_STATEMENT)) {
    imports.push({ from: unquoted(groups?.['from']), kind: groups?.['type'] === undefined ? 'static' : 'type' })
  }
  for (const { groups } of code.matchAll(BARE_IMPORT))
    imports.push({ from: unquoted(groups?.['from']), kind: 'static' })
  for (const { groups } of code.matchAll(IMPORT_CALL)) {
    imports.push({ from: unquoted(groups?.['from']), kind: groups?.['typeof'] === undefined ? 'dynamic' : 'type' })
  }
  return imports
}

function unquoted(text: string | undefined): string | undefined {
  return text?.match(/['"]([^'"]+)['"]/)?.[1]
}

// In this order, because each of them may contain what begins another. A `/` begins a regular expression only where
// no value can end: a division comes after a name, a number or a closing bracket.
const TOKEN = new RegExp(
  [
    /(?<comment>\/\/[^\n]*|\/\*[\s\S]*?\*\/)/,
    /'(?:\\[\s\S]|[^'\\\n])*'|"(?:\\[\s\S]|[^"\\\n])*"/,
    /(?<=(?:^|[=(,:;[!&|?{}+*%<>~^-]|\b(?:return|typeof|case|of|in|await|yield))\s*)\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\//,
    /(?<brace>[`{}])/,
  ]
    .map((part) => part.source)
    .join('|'),
  'g',
)

/** The same text with its comments removed; line breaks stay where they are. */
function withoutComments(text: string): string {
  let code = ''
  let at = 0
  // What is open: a brace of code, or one of a template's `${`.
  const open: ('brace' | 'template')[] = []
  const token = new RegExp(TOKEN)
  while (true) {
    token.lastIndex = at
    const match = token.exec(text)
    if (match === null) return code + text.slice(at)
    code += text.slice(at, match.index)
    at = match.index + match[0].length
    if (match.groups?.['comment'] !== undefined) {
      code += match[0].replace(/[^\n]+/g, ' ')
      continue
    }
    code += match[0]
    if (match[0] === '{') open.push('brace')
    const continuesTemplate = match[0] === '`' || (match[0] === '}' && open.pop() === 'template')
    if (!continuesTemplate) continue
    const rest = /(?:\\[\s\S]|\$(?!\{)|[^`\\$])*(?:`|\$\{)/y
    rest.lastIndex = at
    const [literal] = rest.exec(text) ?? [text.slice(at)]
    if (literal.endsWith('${')) open.push('template')
    code += literal
    at += literal.length
  }
}
