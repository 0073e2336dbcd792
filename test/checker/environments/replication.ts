import type { RedisServer } from '../../support/servers/redis-server.ts'

/** What was acknowledged so shortly before a failover may not have reached the replica. */
export const REPLICATION_LAG = 200

/** How long a master may take to be replaced, and the old one to come back. */
export const LONGEST_FAILOVER = 40_000

/**
 * Whether the replica has all that the master had when it was asked. A link that is up does not say so: after a copy,
 * the master keeps its stream back until the replica has acknowledged the copy, which it does once a second.
 */
export async function follows(replica: RedisServer, master: RedisServer): Promise<boolean> {
  const wanted = field(await master.cli('INFO', 'replication'), 'master_repl_offset')
  const facts = await replica.cli('INFO', 'replication')
  return (
    field(facts, 'role') === 'slave' &&
    field(facts, 'master_port') === String(master.port) &&
    field(facts, 'master_link_status') === 'up' &&
    Number(field(facts, 'slave_repl_offset')) >= Number(wanted)
  )
}

export async function isMaster(server: RedisServer): Promise<boolean> {
  return field(await server.cli('INFO', 'replication'), 'role') === 'master'
}

/** For who asks servers that come and go: not yet. */
export function unreachable(): false {
  return false
}

function field(facts: string, name: string): string | undefined {
  return new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(facts)?.[1]
}
