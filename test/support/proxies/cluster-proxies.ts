import { Cluster } from 'ioredis'
import type { ClusterSetup, RedisServer } from '../servers/redis-server.ts'
import { tcpProxy, type TcpProxy } from './tcp-proxy.ts'

/** Cables between one client and every node of a Cluster. */
export interface ClusterProxies {
  /** A client that knows the nodes by their proxies alone. It is a pattern, and does not connect. */
  client(): Cluster
  proxyOf(node: RedisServer): TcpProxy
  heal(): void
  close(): Promise<void>
}

export async function clusterProxies({ nodes }: ClusterSetup): Promise<ClusterProxies> {
  const proxies = await Promise.all(nodes.map(({ port }) => tcpProxy(port)))
  const places = proxies.map(({ port }) => ({ host: '127.0.0.1', port }))
  return {
    client: () =>
      new Cluster(places, {
        lazyConnect: true,
        natMap: Object.fromEntries(nodes.map(({ port }, index) => [`127.0.0.1:${port}`, places[index]!])),
      }),
    proxyOf: (node) => proxies[nodes.indexOf(node)]!,
    heal: () => proxies.forEach((proxy) => proxy.heal()),
    async close() {
      await Promise.all(proxies.map((proxy) => proxy.close()))
    },
  }
}
