import fc from 'fast-check'

/** JSON data with every name that could do harm: as `JSON.parse` gives it, `__proto__` an own property. */
export const json: fc.Arbitrary<unknown> = fc.jsonValue({ maxDepth: 4, stringUnit: 'binary' }).map((value) => {
  const names = ['__proto__', 'constructor', 'toJSON', '~', '1', 'ordinary']
  const text = JSON.stringify(value, (_name, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(
          Object.entries(inner).map(([name, item], index) => [name.length % 2 ? names[index % 6] : name, item]),
        )
      : inner,
  )
  return JSON.parse(text) as unknown
})
