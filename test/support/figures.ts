import { alsApp, sessionApp } from '../../bench/apps.ts'
import { answer, cookieOf, type Handle } from '../../bench/socketless.ts'
import { fileStore, memoryStore, type SessionOptions } from '../../src/index.ts'
import { SITUATIONS } from './cost-limits.ts'

/** Makes so many requests of one kind, one after the other. */
export type Repeat = (times: number) => Promise<void>

/**
 * Takes a figure of each situation and prints them as JSON, for a program that was called with
 * `<als | memory | file> <directory>`. `als` is an application without sessions, with AsyncLocalStorage alone. With
 * `login`, the figure of a login on files is taken too.
 */
export async function printFigures(
  figureOf: (repeat: Repeat) => Promise<number>,
  { login = false, ...options }: Pick<SessionOptions, 'cache'> & { login?: boolean } = {},
): Promise<void> {
  const [, , kind = '', directory = ''] = process.argv
  const take = (handle: Handle, path: string, cookie: string): Promise<number> =>
    figureOf(async (times) => {
      for (let turn = 0; turn < times; turn++) await answer(handle, path, cookie)
    })

  const figures: Record<string, number> = {}
  if (kind === 'als') figures['read'] = await take(alsApp(), '/read', '')
  else {
    const store = kind === 'file' ? fileStore({ directory, pruneInterval: 0 }) : memoryStore({ pruneInterval: 0 })
    const { handle } = sessionApp({ store, ...options })
    const cookie = cookieOf(await answer(handle, '/login'))
    for (const [name, { path, hasCookie }] of Object.entries(SITUATIONS)) {
      figures[name] = await take(handle, path, hasCookie ? cookie : '')
    }
    if (login && kind === 'file') figures['login'] = await take(handle, '/login', '')
  }
  process.stdout.write(JSON.stringify(figures), () => process.exit())
}
