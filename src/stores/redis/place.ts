import type { Cluster } from 'ioredis'
import type { Link, Listener } from '../../store.ts'
import type { Milliseconds } from '../../units.ts'
import { wireTo, type Maker } from './client.ts'
import { ClusterLinks } from './cluster-links.ts'
import { Connection } from './connection.ts'
import { SingleLink } from './single-link.ts'
import { Strangers } from './strangers.ts'
import type { Commands, Wire } from './wire.ts'

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
  ask<T>(name: string, operation: (client: Commands) => Promise<T>): Promise<T>
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

function onServer(make: () => Wire, settings: PlaceSettings): Place {
  const connection = new Connection(make(), settings)
  const strangers = new Strangers()
  let link: SingleLink | undefined
  // A link asks by itself.
  connection.on('ready', () => link ?? strangers.meet(connection))
  return {
    connection,
    ask: (_name, operation) => connection.run(operation),
    listen() {
      link = new SingleLink({
        ...settings,
        strangers,
        data: connection,
        second: () => new Connection(make(), settings),
      })
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

function onCluster(wire: Wire<Cluster>, settings: PlaceSettings): Place {
  const connection = new Connection(wire, settings)
  const links = new ClusterLinks({
    ...settings,
    cluster: connection,
    connect: (node) => new Connection(wireTo(node, settings.deadline), settings),
  })
  return {
    connection,
    ask: (name, operation) => links.run(name, operation),
    listen: () => links.start(),
    linkOf: (name) => links.linkOf(name),
    cease: () => links.stop(),
  }
}
