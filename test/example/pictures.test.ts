import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'

const ROOT = join(import.meta.dirname, '../../..')
const MOST_BYTES = 150_000

describe('the pictures of the example site', () => {
  const images = readdirSync(join(ROOT, 'docs/images')).filter((name) => !name.endsWith('.svg')) // charts of the guides
  const pages = ['README.md', ...readdirSync(join(ROOT, 'docs')).filter((name) => name.endsWith('.md'))].map((name) =>
    readFileSync(join(ROOT, name === 'README.md' ? name : `docs/${name}`), 'utf8'),
  )

  for (const name of images) {
    it(`${name} is a small PNG, and stands on a page with words for those who cannot see it`, () => {
      const bytes = readFileSync(join(ROOT, 'docs/images', name))
      assert.equal(bytes.toString('latin1', 1, 4), 'PNG')
      assert.ok(bytes.length < MOST_BYTES, `${bytes.length} bytes`)
      const words = pages.flatMap((page) => [...page.matchAll(/!\[([^\]]*)\]\((?:docs\/)?images\/([\w.-]+)\)/g)])
      assert.ok(words.some(([, alternative, file]) => file === name && alternative!.length > 20))
    })
  }
})
