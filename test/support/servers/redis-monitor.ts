import { Redis } from 'ioredis'

/** A connection that hears of all commands of a Redis server, and another one to send it some. */
export interface Monitored {
  readonly client: Redis
  readonly monitor: Redis
  disconnect(): void
}

/** Begins to listen to the server on this port of 127.0.0.1. */
export async function monitored(port: number): Promise<Monitored> {
  const client = new Redis(port, '127.0.0.1', { disableClientInfo: true })
  // What ioredis asks when it connects must have been answered: a command that arrives with the answer to MONITOR breaks it.
  await client.ping()
  const monitor = await client.monitor()
  return {
    client,
    monitor,
    disconnect() {
      client.disconnect()
      monitor.disconnect()
    },
  }
}
