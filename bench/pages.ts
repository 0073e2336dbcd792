import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { charts, markdown, readmeBlock } from './report.ts'
import type { Summary } from './summary.ts'

const BEGIN = '<!-- benchmark: written by npm run bench, from bench/results.json -->'
const END = '<!-- /benchmark -->'

/** The files that this run makes in its folder, by name. */
export function filesOf(summary: Summary): Map<string, string> {
  return new Map([
    ['results.json', `${JSON.stringify(summary, null, 1)}\n`],
    ['RESULTS.md', markdown(summary)],
    ...charts(summary),
  ])
}

/** Writes them in the place of an older run's; returns the path of RESULTS.md. */
export function writeFiles(summary: Summary, folder: string): string {
  mkdirSync(folder, { recursive: true })
  for (const name of readdirSync(folder)) if (name.endsWith('.svg')) rmSync(join(folder, name))
  for (const [name, text] of filesOf(summary)) writeFileSync(join(folder, name), text)
  return join(folder, 'RESULTS.md')
}

export function writeReadme(summary: Summary, path: string): void {
  writeFileSync(path, withBlock(readFileSync(path, 'utf8'), readmeBlock(summary)))
}

/** The text with this block between its two comments. */
export function withBlock(text: string, block: string): string {
  const begin = text.indexOf(BEGIN)
  const end = text.indexOf(END)
  if (begin === -1 || end < begin) throw new Error(`The README has lost the comments ${BEGIN} and ${END}.`)
  return `${text.slice(0, begin + BEGIN.length)}\n\n${block === '' ? '' : `${block}\n\n`}${text.slice(end)}`
}
