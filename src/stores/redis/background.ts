import type { EventEmitter } from 'node:events'
import type { Redis } from 'ioredis'

/** What ioredis keeps for itself while it waits to connect again. */
interface Waiting {
  readonly reconnectTimeout: NodeJS.Timeout | null
}

/**
 * Lets the process end although this client is connected or waits to connect again: whoever has nothing else to do, such
 * as a test that has closed its server, is done. An operation under way keeps the process alive by its own deadline.
 */
export function letProcessEnd(client: Redis): void {
  const events: EventEmitter = client
  events.on('connect', () => client.stream.unref?.())
  events.on('reconnecting', () => (client as unknown as Waiting).reconnectTimeout?.unref())
}
