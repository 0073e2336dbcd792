import { conflict, intact, later, newKey, saved, type Rule } from './support.ts'

/** A text is kept as it is, whatever it contains. */
export function textRules(rule: Rule): void {
  for (const [what, make] of TEXTS) {
    rule(`a text comes back as it went in: ${what}`, async (store, peer) => {
      const key = newKey()
      const text = make()
      const created = saved(await store.save(key, text, later(), undefined))
      intact(created, text)
      intact(await peer.load(key), text)
      intact(conflict(await store.save(key, '1', later(), undefined)), text)
      intact(saved(await store.save(key, text, later(), created)), text)
      intact(await store.load(key), text)
    })
  }
}

const TEXTS: readonly (readonly [what: string, text: () => string])[] = [
  ['an empty object', () => '{}'],
  ['an empty text', () => ''],
  ['blanks and line ends', () => ' \t\r\n\n{"a":\n1}\r\n '],
  [
    'NUL and other controls',
    () => Array.from({ length: 32 }, (_, n) => String.fromCharCode(n)).join('') + '\u007f\u0085',
  ],
  ['bars, quotes, braces and backslashes', () => '1|2||{"a":"|\\"\\\\|"}\'`$' + '{x}%00%s\\u0000|'],
  ['a byte order mark', () => '\ufeff{"a":1}\ufeff'],
  ['lone surrogates as JSON escapes', () => '{"a":"\\ud800","b":"\\udfff\\ud800"}'],
  ['a million characters', () => JSON.stringify('0123456789'.repeat(99_999) + '01234567')],
  ...Array.from({ length: 17 }, (_, plane) => [`plane ${plane} of Unicode`, () => unicode(plane)] as const),
]

function unicode(plane: number): string {
  const text = Array.from({ length: 0x1_0000 }, (_, n) => String.fromCodePoint(plane * 0x1_0000 + n)).join('')
  return plane === 0 ? text.replace(/[\ud800-\udfff]/g, '') : text
}
