/**
 * Property names without a backslash.
 *
 * The JSON.parse of Node 24 and 26 can take a name that is written with an escape for another name that it has met at
 * the same place before: after `{"a\\":1}` it reads `{"a\n":1}` as `{"a\\":1}`. One visitor's names would change what all
 * others get back. So no stored name has an escape: characters that JSON would escape are written as `%` and their four
 * hexadecimal digits, and so is `%` itself. A text says of itself whether its names are written this way.
 */

/** What JSON escapes: quotes, backslashes, control characters and halves of surrogate pairs. */
// oxlint-disable-next-line no-control-regex
const ESCAPED_BY_JSON = /["\\\u0000-\u001f]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/
const TO_ESCAPE = new RegExp(`%|${ESCAPED_BY_JSON.source}`, 'g')
const ESCAPE = /%([\da-f]{4})/g

/** Whether JSON would write this name with a backslash. */
export function needsEscape(name: string): boolean {
  return ESCAPED_BY_JSON.test(name)
}

export function escapeName(name: string): string {
  return name.replace(TO_ESCAPE, (character) => `%${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

export function unescapeName(name: string): string {
  return name.replace(ESCAPE, (_escape, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)))
}

/** Names to which version 0.1.0 gave a `~` inside of values that are not plain JSON: `~__proto__` is `__proto__`. */
const MARKED = /^~+(?:__proto__|[^ !#-;=-[\]-\u2027\u202a-\ud7ff\ue000-\uffff])$/

export function unmarkedName(name: string): string {
  return name.startsWith('~') && MARKED.test(name) ? name.slice(1) : name
}
