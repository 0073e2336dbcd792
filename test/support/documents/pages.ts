import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A page of documentation, in the parts that can be checked. */
export interface Page {
  /** The path from the root of the repository: `docs/login.md`. */
  readonly path: string
  readonly text: string
  readonly blocks: readonly Block[]
  /** What a link can lead to: the anchors of the headings, as GitHub makes them. */
  readonly anchors: ReadonlySet<string>
  readonly links: readonly Link[]
  /** What stands between backticks, outside of blocks. */
  readonly inlineCode: readonly string[]
}

/** A fenced block of code. */
export interface Block {
  /** Where it begins: `docs/login.md:12`. */
  readonly place: string
  readonly language: string
  readonly code: string
  /** What the comment in its first line calls the file: `app.js`. */
  readonly file: string | undefined
  /** Declarations that the page's source gives before the block (`<!-- given … -->`), for what readers need not see. */
  readonly given: string
  /** Why it cannot be run, as the line above tells the reader: "*Not run by the tests: …*". */
  readonly notRun: string | undefined
}

export interface Link {
  readonly place: string
  /** The path from the root of the repository, also if the link goes there by the web; or an address of the web. */
  readonly target: string
  /** Whether the link is written as an address of the web, which leads there from anywhere. */
  readonly isAbsolute: boolean
  readonly anchor: string | undefined
}

/** The README, the pages beside it, the guides and the decisions. */
export function readPages(root: string): Page[] {
  return ['.', 'docs', 'docs/decisions']
    .flatMap((folder) => readdirSync(join(root, folder)).map((file) => join(folder, file)))
    .filter((path) => path.endsWith('.md') && path !== 'CHANGELOG.md')
    .toSorted()
    .map((path) => readPage(root, path))
}

export function readPage(root: string, path: string): Page {
  const text = readFileSync(join(root, path), 'utf8')
  const prose = text.replace(FENCE, (block) => block.replace(/[^\n]/g, ''))
  return {
    path,
    text,
    blocks: blocksOf(path, text),
    anchors: anchorsOf(prose),
    links: linksOf(path, prose, filesOnTheWeb(root)),
    inlineCode: inlineCodeOf(prose),
  }
}

export function inlineCodeOf(prose: string): string[] {
  return [...prose.matchAll(/`([^`\n]+)`/g)].map(([, code]) => code as string)
}

const FENCE = /^ *```[^\n]*\n.*?^ *```$/gms

function blocksOf(path: string, text: string): Block[] {
  return [...text.matchAll(/^```(\S*)[^\n]*\n(.*?)^```$/gms)].map(({ 1: language = '', 2: code = '', index }) => {
    const before = text.slice(0, index).trimEnd()
    return {
      place: placeOf(path, text, index),
      language,
      code,
      file: /^(?:\/\/|#) ([\w.-]+\.\w+|Dockerfile)\n/.exec(code)?.[1],
      given: /<!-- given\n((?:(?!-->).)*)-->$/s.exec(before)?.[1] ?? '',
      notRun: /^\*Not run by the tests: (.+)\*$/.exec(before.split('\n').at(-1) ?? '')?.[1],
    }
  })
}

function anchorsOf(prose: string): Set<string> {
  const anchors = new Set<string>()
  for (const [, heading = ''] of prose.matchAll(/^#{1,6} (.+)$/gm)) {
    const slug = heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-')
    let anchor = slug
    for (let count = 1; anchors.has(anchor); count++) anchor = `${slug}-${count}`
    anchors.add(anchor)
  }
  return anchors
}

function linksOf(path: string, prose: string, onTheWeb: string): Link[] {
  return [...prose.matchAll(/\]\(([^)\s]+)\)|\b(?:src|href)="([^"]+)"/g)].map(({ 1: one, 2: other, index }) => {
    const [written = '', anchor] = ((one ?? other) as string).split('#')
    const isAbsolute = /^[a-z]+:/.test(written)
    const folder = path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : ''
    const target = isAbsolute ? written.replace(onTheWeb, '') : written === '' ? path : join(folder, written)
    return { place: placeOf(path, prose, index), target, isAbsolute, anchor }
  })
}

/** Where package.json says that the files of this repository are to be read. */
function filesOnTheWeb(root: string): string {
  const { repository } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { repository: { url: string } }
  return `${repository.url.replace(/^git\+|\.git$/g, '')}/blob/main/`
}

function placeOf(path: string, text: string, index: number): string {
  return `${path}:${text.slice(0, index).split('\n').length}`
}
