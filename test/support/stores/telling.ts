import type { Link } from '../../../src/store.ts'
import { until } from '../servers/server-process.ts'

/**
 * Resolves when a link has told of a change, to its line. What is changed while the link vouches is told of, unless a new
 * generation begins first. On a busy machine one may begin, and then the change is made again.
 *
 * `change` resolves to the line that `told` will have, another one each time.
 */
export async function toldOf(
  link: () => Link,
  told: readonly string[],
  change: () => Promise<string>,
): Promise<string> {
  for (;;) {
    await until(() => link().vouches())
    const current = link()
    const { generation } = current
    const line = await change()
    await until(() => told.includes(line) || link() !== current || current.generation !== generation)
    if (told.includes(line)) return line
  }
}
