import { Cluster } from 'ioredis'
import type { ClusterSetup, RedisServer } from '../servers/redis-server.ts'
import { tcpProxy, type TcpProxy } from './tcp-proxy.ts'

/** Cables between one client and every node of a Cluster. */
export interface ClusterProxies {
  /** How each node is reached, by the address that it announces. */
  readonly natMap: Readonly<Record<string, { readonly host: string; readonly port: number }>>
  /** A client that knows the nodes by their proxies alone. It is a pattern, and does not connect. */
  client(): Cluster
  proxyOf(node: RedisServer): TcpProxy
  heal(): void
  close(): Promise<void>
}

export async function clusterProxies({ nodes }: ClusterSetup): Promise<ClusterProxies> {
  const proxies = await Promise.all(nodes.map(({ port }) => tcpProxy(port)))
  const places = proxies.map(({ port }) => ({ host: '127.0.0.1', port }))
  const natMap = Object.fromEntries(nodes.map(({ port }, index) => [`127.0.0.1:${port}`, places[index]!]))
  return {
    natMap,
    client: () => new Cluster(places, { lazyConnect: true, natMap }),
    proxyOf: (node) => proxies[nodes.indexOf(node)]!,
    heal: () => proxies.forEach((proxy) => proxy.heal()),
    async close() {
      await Promise.all(proxies.map((proxy) => proxy.close()))
    },
  }
}
