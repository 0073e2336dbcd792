/**
 * What all of the sources name, in no order. All of them are asked at once. A source that fails does not hold up the
 * others: they are named to their ends, and only then is `failed` told of the failures. So anyone who ends what is named
 * here ends all that can be reached, and learns that it was not everything.
 */
export async function* merged<Item>(
  sources: readonly AsyncIterable<Item>[],
  failed: (failures: readonly unknown[]) => void,
): AsyncGenerator<Item> {
  const begun = sources.map((source) => {
    const iterator = source[Symbol.asyncIterator]()
    const first = iterator.next()
    first.catch(() => {}) // dealt with when its turn comes
    return { iterator, first }
  })
  const failures: unknown[] = []
  try {
    for (const { iterator, first } of begun) {
      try {
        for (let step = await first; step.done !== true; step = await iterator.next()) yield step.value
      } catch (error) {
        failures.push(error)
      }
    }
  } finally {
    await Promise.all(begun.map(async ({ iterator }) => iterator.return?.()))
  }
  if (failures.length > 0) failed(failures)
}
