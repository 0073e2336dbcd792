import { createConnection } from 'node:net'
import type { MemcacheClient, MemcacheConnection, MemcacheNode, Status } from 'memcache-client'

/** The parts of the package memcache-client that a connection by socket is made of. */
export interface SocketParts {
  readonly MemcacheNode: typeof MemcacheNode
  readonly MemcacheConnection: typeof MemcacheConnection
  readonly Status: typeof Status
}

/**
 * Makes the client connect by a Unix socket. memcache-client itself knows hosts and ports only, so this gives the client
 * a node that opens its one connection in another way.
 */
export function connectBySocket(client: MemcacheClient, path: string, parts: SocketParts): void {
  const node = new parts.MemcacheNode(client, { server: path, maxConnections: 1 })
  node._connect = () => {
    const connection = new parts.MemcacheConnection(client, node)
    node.connections.push(connection)
    return opened(connection, path, parts)
  }
  const servers: Pick<MemcacheNode, 'doCmd' | 'shutdown'> = {
    doCmd: (action) => node.doCmd(action),
    shutdown: () => node.shutdown(),
  }
  Object.assign(client, { _servers: servers })
}

/** What `MemcacheConnection.connect` does, with a path. A socket connects at once or never, so there is no timeout. */
function opened(connection: MemcacheConnection, path: string, { Status }: SocketParts): Promise<MemcacheConnection> {
  const socket = createConnection({ path })
  connection.socket = socket
  connection._status = Status.CONNECTING
  const connecting = new Promise<MemcacheConnection>((resolve, reject) => {
    socket.once('error', (error) => {
      connection._shutdown('connect failed')
      reject(Object.assign(error, { connecting: true }))
    })
    socket.once('connect', () => {
      connection._status = Status.READY
      connection._connectPromise = undefined
      socket.removeAllListeners('error')
      connection._setupConnection(socket)
      resolve(connection)
    })
  })
  connection._connectPromise = connecting
  return connecting
}
