/** A cookie's value in a Cookie header, and where the header goes on after it. */
export interface HeaderValue {
  readonly value: string
  readonly end: number
}

/** The next value of one cookie in this header. `assignment`: the cookie's name and `=`. */
export function nextValue(header: string, assignment: string, from: number): HeaderValue | undefined {
  for (let at = header.indexOf(assignment, from); at !== -1; at = header.indexOf(assignment, at + 1)) {
    let before = at - 1
    while (before >= 0 && isBlank(header[before])) before--
    if (before >= 0 && header[before] !== ';') continue
    const semicolon = header.indexOf(';', at)
    const end = semicolon === -1 ? header.length : semicolon
    return { value: header.slice(at + assignment.length, end).trim(), end }
  }
  return undefined
}

/** Clients and proxies put blanks between cookies, on either side of the semicolon. */
function isBlank(character: string | undefined): boolean {
  return character === ' ' || character === '\t'
}
