/** Characters that steer a terminal, turn the direction of text or cannot be seen: controls, formats, separators. */
const STEERING = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/**
 * Text that may come from a stranger (a browser's name, a server's error), with every character spelled out that would
 * steer the terminal or hide what is there.
 */
export function harmless(text: string): string {
  return text.replace(STEERING, (character) => `\\u{${(character.codePointAt(0) as number).toString(16)}}`)
}

/** The same for JSON. The characters are spelled out as JSON allows, so the meaning stays. */
export function harmlessJson(json: string): string {
  return json.replace(STEERING, (character) =>
    character.replace(/[^]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`),
  )
}
