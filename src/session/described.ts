/** What it is, for a message that does not show it. */
export function described(value: unknown): string {
  if (value === undefined || value === null || value === true || value === false) return String(value)
  if (value === '') return 'an empty one'
  if (Array.isArray(value)) return 'a list'
  const type = typeof value === 'object' ? Object.prototype.toString.call(value).slice(8, -1) : typeof value
  return /^[AEIO]/i.test(type) ? `an ${type}` : `a ${type}`
}
