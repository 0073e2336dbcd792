import { createServer, connect, type AddressInfo, type Socket } from 'node:net'

/** A stretch of cable between a client and a server, which can be cut in every way that networks know. */
export interface TcpProxy {
  readonly port: number
  /** From now on nothing gets through in either direction, and nobody is told. New connections are accepted. */
  blackHole(): void
  /** The same, but only for the connections that there are. New ones work. */
  hang(): void
  /** The same, but only for the connections over which somebody has subscribed to a channel. */
  hangListeners(): void
  /** From now on the server's answers do not get through; what is asked of it does. */
  swallowAnswers(): void
  /** From now on the server seems to answer with the second text of each pair instead of the first, which is as long. */
  rewriteAnswers(...pairs: readonly (readonly [of: string, said: string])[]): void
  /** Things get through again, what was held back first. */
  heal(): void
  /** Closes every connection, at once. */
  cut(): void
  /** How many connections have been made so far. */
  readonly connections: number
  /** How many of them are open. */
  readonly open: number
  close(): Promise<void>
}

export async function tcpProxy(targetPort: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>()
  const toServers = new Set<Socket>()
  const listening = new Set<Socket>()
  let rewriting: readonly (readonly [of: string, said: string])[] = []
  let isBlack = false
  let connections = 0

  function rewritten(chunk: Buffer): Buffer {
    if (rewriting.length === 0) return chunk
    return Buffer.from(
      rewriting.reduce((text, [of, said]) => text.replace(of, said), chunk.toString('latin1')),
      'latin1',
    )
  }

  function carry(from: Socket, to: Socket): void {
    sockets.add(from)
    from.setNoDelay(true)
    from.on('data', (chunk) => void to.write(toServers.has(from) ? rewritten(chunk) : chunk))
    from.on('error', () => from.destroy())
    from.on('close', () => {
      sockets.delete(from)
      toServers.delete(from)
      listening.delete(from)
      to.destroy()
    })
    if (isBlack) from.pause()
  }

  const server = createServer((near) => {
    connections++
    const far = connect(targetPort, '127.0.0.1')
    toServers.add(far)
    near.on('data', (chunk) => {
      if (chunk.includes('subscribe')) for (const socket of [near, far]) listening.add(socket)
    })
    carry(near, far)
    carry(far, near)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    blackHole() {
      isBlack = true
      for (const socket of sockets) socket.pause()
    },
    hang() {
      for (const socket of sockets) socket.pause()
    },
    hangListeners() {
      for (const socket of listening) socket.pause()
    },
    swallowAnswers() {
      for (const socket of toServers) socket.pause()
    },
    rewriteAnswers(...pairs) {
      rewriting = pairs
    },
    heal() {
      isBlack = false
      for (const socket of sockets) socket.resume()
    },
    cut() {
      for (const socket of sockets) socket.destroy()
    },
    get connections() {
      return connections
    },
    get open() {
      return toServers.size
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}
