import { DONE, type Command } from '../command.ts'
import { counted } from '../format.ts'

export const prune: Command = {
  summary: 'remove what has expired',
  usage: '[--json] [--store URL]',
  options: ['json', 'store'],
  operands: { least: 0, most: 0, what: '' },
  details: `Applications do it themselves, every 15 minutes, as long as they run. Redis and memcached need no pruning.
--json prints {"pruned": 12}.`,
  async run({ values, terminal, signal, openStore }) {
    const opened = openStore()
    const { store, name } = opened
    if (!store.prune) {
      if (values.json) await terminal.json({ pruned: 0 })
      else terminal.say(`${name} removes expired sessions by itself; there is nothing to do.`)
      return DONE
    }
    // A prune ends early when its store is closed.
    signal.addEventListener('abort', () => void opened.close(), { once: true })
    const progress = terminal.progress('Removing expired sessions')
    const pruned = await store.prune()
    progress.end()
    if (values.json) await terminal.json({ pruned })
    else await terminal.line(`${counted(pruned, 'expired session')} removed from ${name}.`)
    return DONE
  },
}
