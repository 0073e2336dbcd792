/** The object that this text is in JSON; `undefined` if it is none, or was cut short. The names in it may have any value. */
export function objectIn(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined // and not the parser's message, which quotes the text
  }
}
