import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseSync, type Comment, type Node } from 'oxc-parser'

/** A function, type, interface or class that users can import. */
export interface Declaration {
  readonly name: string
  readonly kind: 'function' | 'type' | 'interface' | 'class'
  /** As TypeScript writes it, without what is inside the braces of an interface or class. */
  readonly signature: string
  /** Its doc comment as Markdown. */
  readonly documentation: string
  readonly members: readonly Member[]
}

/** A property or method; its overloads together. */
export interface Member {
  readonly name: string
  readonly signatures: readonly string[]
  readonly documentation: string
}

/** What a user can import from this declaration file, in its order. The default export is one of the others. */
export function declarationsOf(file: string): Declaration[] {
  const source = new Source(file)
  const declarations: Declaration[] = []
  for (const node of source.statements) {
    if (node.type === 'ExportAllDeclaration') {
      declarations.push(...declarationsOf(source.path(node.source.value)))
    } else if (node.type === 'ExportNamedDeclaration' && node.declaration) {
      const declaration = source.declaration(node, node.declaration)
      if (declaration) declarations.push(declaration)
    } else if (node.type === 'ExportNamedDeclaration' && node.source) {
      const names = node.specifiers.map(({ exported }) => ('name' in exported ? exported.name : exported.value))
      const there = declarationsOf(source.path(node.source.value))
      declarations.push(...there.filter(({ name }) => names.includes(name)))
    }
  }
  return declarations
}

class Source {
  readonly statements: readonly Node[]
  readonly #file: string
  readonly #text: string
  readonly #comments: readonly Comment[]

  constructor(file: string) {
    this.#file = file
    this.#text = readFileSync(file, 'utf8')
    const { program, comments, errors } = parseSync(file, this.#text, { lang: 'dts' })
    if (errors.length > 0) throw new Error(`${file}: ${errors.map(({ message }) => message).join(', ')}`)
    this.statements = program.body
    this.#comments = comments
  }

  path(specifier: string): string {
    return join(dirname(this.#file), specifier.replace(/\.ts$/, '.d.ts'))
  }

  declaration(statement: Node, node: Node): Declaration | undefined {
    const documentation = this.#documentation(statement)
    switch (node.type) {
      case 'TSDeclareFunction':
        return this.#named(node.id?.name, 'function', this.#code(node), documentation)
      case 'TSTypeAliasDeclaration':
        return this.#named(node.id.name, 'type', this.#code(node), documentation)
      case 'TSInterfaceDeclaration':
      case 'ClassDeclaration': {
        const head = this.#text.slice(node.start, node.body.start)
        const kind = node.type === 'ClassDeclaration' ? 'class' : 'interface'
        return this.#named(node.id?.name, kind, tidy(head), documentation, this.#members(node.body.body))
      }
      default:
        return undefined
    }
  }

  #named(
    name: string | undefined,
    kind: Declaration['kind'],
    signature: string,
    documentation: string,
    members: readonly Member[] = [],
  ): Declaration | undefined {
    return name === undefined ? undefined : { name, kind, signature, documentation, members }
  }

  #members(nodes: readonly Node[]): Member[] {
    const members: { name: string; signatures: string[]; documentation: string }[] = []
    for (const node of nodes) {
      const name = this.#memberName(node)
      if (name === undefined) continue
      const documentation = this.#documentation(node)
      const last = members.at(-1)
      if (last?.name === name) {
        last.signatures.push(this.#code(node))
        last.documentation = [last.documentation, documentation].filter(Boolean).join('\n\n')
      } else members.push({ name, signatures: [this.#code(node)], documentation })
    }
    return members
  }

  #memberName(node: Node): string | undefined {
    if (node.type === 'TSCallSignatureDeclaration') return 'call'
    if (!('key' in node) || ('accessibility' in node && node.accessibility === 'private')) return undefined
    const { key } = node
    return key.type === 'Identifier' ? key.name : undefined // not #private
  }

  #code(node: Node): string {
    return tidy(this.#text.slice(node.start, node.end))
  }

  /** The doc comment that ends where the node begins. */
  #documentation(node: Node): string {
    const comment = this.#comments.find(
      ({ type, value, start, end }) =>
        type === 'Block' &&
        value.startsWith('*') &&
        start < node.start &&
        this.#text.slice(end, node.start).trim() === '',
    )
    if (!comment) return ''
    return comment.value
      .slice(1)
      .split('\n')
      .map((line) => line.replace(/^ *\* ?/, ''))
      .join('\n')
      .trim()
  }
}

/** One statement without `export`, `declare`, comments, its semicolon, and indentation that means nothing any more. */
function tidy(code: string): string {
  return code
    .replace(/^(?:export )?(?:declare )?/, '')
    .replace(/\/\*\*.*?\*\/\s*/gs, '')
    .replace(/;(?= *(?:\n|$|\}))/g, '')
    .replace(/^ {4}/gm, '  ')
    .trim()
}
