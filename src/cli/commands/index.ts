import type { Commands } from '../command.ts'
import { copy } from './copy.ts'
import { list } from './list.ts'
import { migrate } from './migrate.ts'
import { prune } from './prune.ts'
import { revoke } from './revoke.ts'
import { secret } from './secret.ts'
import { show } from './show.ts'
import { stats } from './stats.ts'

/** What the command can do. */
export const COMMANDS: Commands = { secret, list, show, revoke, prune, stats, migrate, copy }
