import type { ClusterSetup, RedisServer } from './redis-server.ts'
import { until } from './server-process.ts'

/** A slot that moves from one master of a Cluster to another, step by step. */
export interface SlotMove {
  readonly slot: string
  readonly source: RedisServer
  readonly target: RedisServer
  /** From now on both servers call the slot one that is on the move. */
  open(): Promise<void>
  /** Takes all keys of the slot along. Nothing can be taken back: a server refuses keys of a slot that is on the way out. */
  carry(): Promise<void>
  /** The slot is the target's, as all masters are told. */
  close(): Promise<void>
  /** Does what is left of it, if it has begun: for a test that ends in the middle. */
  finish(): Promise<void>
}

/** Prepares to move the slot of a name to another master. */
export async function slotMove(cluster: ClusterSetup, name: string, target?: RedisServer): Promise<SlotMove> {
  const source = await cluster.masterOf(name)
  const masters = await cluster.masters()
  const to = target ?? masters.find((master) => master !== source)!
  const slot = await source.cli('CLUSTER', 'KEYSLOT', name)
  const [sourceId, targetId] = [await source.cli('CLUSTER', 'MYID'), await to.cli('CLUSTER', 'MYID')]
  let isOpen = false
  const move: SlotMove = {
    slot,
    source,
    target: to,
    async open() {
      isOpen = true
      await to.cli('CLUSTER', 'SETSLOT', slot, 'IMPORTING', sourceId)
      await source.cli('CLUSTER', 'SETSLOT', slot, 'MIGRATING', targetId)
    },
    async carry() {
      const keys = (await source.cli('CLUSTER', 'GETKEYSINSLOT', slot, '1000')).split('\n').filter(Boolean)
      if (keys.length === 0) return
      const port = String(to.port)
      await until(async () => {
        const answer = await source.cli('MIGRATE', '127.0.0.1', port, '', '0', '5000', 'REPLACE', 'KEYS', ...keys)
        if (answer === 'OK' || answer === 'NOKEY') return true
        // On a busy machine the servers may take each other for dead for a moment.
        if (/^(?:CLUSTERDOWN|IOERR|TRYAGAIN)/.test(answer)) return false
        throw new Error(`the keys of the slot were not moved: ${answer}`)
      })
    },
    async close() {
      for (const server of [to, source, ...masters.filter((other) => other !== to && other !== source)])
        await server.cli('CLUSTER', 'SETSLOT', slot, 'NODE', targetId)
      isOpen = false
    },
    async finish() {
      if (!isOpen) return
      await move.carry()
      await move.close()
    },
  }
  return move
}

/** Moves the slot of a name, with all that is in it. */
export async function moveSlot(cluster: ClusterSetup, name: string, target?: RedisServer): Promise<void> {
  const move = await slotMove(cluster, name, target)
  await move.open()
  await move.carry()
  await move.close()
}
