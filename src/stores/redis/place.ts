import type { Cluster, Redis } from 'ioredis'
import type { Link, Listener } from '../../store.ts'
import type { Milliseconds } from '../../units.ts'
import { likeNode, type Maker } from './client.ts'
import { ClusterLinks } from './cluster-links.ts'
import { Connection } from './connection.ts'
import { SingleLink } from './single-link.ts'

/** What a place needs to know. */
export interface PlaceSettings {
  readonly deadline: Milliseconds
  /** The coherence bound. */
  readonly bound: Milliseconds
  readonly prefix: string
  /** Where the writing scripts publish. */
  readonly channel: string
  /** The key that is lost when a server’s data is. On a Cluster each server has one of its own. */
  readonly epochKey: string
  /** What a server should allow, for the error that says that it does not. */
  readonly rights: string
  readonly listener: Listener
}

/** Where the records are: on one server, or spread over the masters of a Cluster. */
export interface Place {
  readonly connection: Connection
  /** Asks the server that has the record of this name. */
  ask<T>(name: string, operation: (client: Redis | Cluster) => Promise<T>): Promise<T>
  /** Begins to listen for what is written. */
  listen(): void
  /** While this place listens: the link over which changes of the record of this name are heard. */
  linkOf(name: string): Link
  /** Ends the listening; harmless if there is none. */
  cease(): Promise<void>
}

export function placeOf(maker: Maker, settings: PlaceSettings): Place {
  return maker.kind === 'cluster' ? onCluster(maker.make(), settings) : onServer(() => maker.make(), settings)
}

function onServer(make: () => Redis, settings: PlaceSettings): Place {
  const connection = new Connection(make(), settings)
  let link: SingleLink | undefined
  return {
    connection,
    ask: (_name, operation) => connection.run(operation),
    listen() {
      link = new SingleLink({ ...settings, data: connection, second: () => new Connection(make(), settings) })
      link.start()
    },
    linkOf: () => link!,
    async cease() {
      const ending = link
      link = undefined
      await ending?.stop()
    },
  }
}

function onCluster(client: Cluster, settings: PlaceSettings): Place {
  const connection = new Connection(client, settings)
  const links = new ClusterLinks({
    ...settings,
    cluster: connection,
    connect: (node) => new Connection(likeNode(node, settings.deadline), settings),
  })
  return {
    connection,
    ask: (name, operation) => links.run(name, operation),
    listen: () => links.start(),
    linkOf: (name) => links.linkOf(name),
    cease: () => links.stop(),
  }
}
