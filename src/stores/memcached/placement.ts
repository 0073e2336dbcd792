import { createHash } from 'node:crypto'
import type { Key } from '../../units.ts'

/**
 * Gives a function that says which of the servers keeps a key, by rendezvous hashing. Every process with the same
 * servers, in any order, gets the same answer. Whether a server is up does not matter: if a key moved away while its
 * server was down, that server would come back with the session as it was before its logout. A new server takes over
 * only the keys that score highest on it.
 */
export function placement<Server>(servers: ReadonlyMap<string, Server>): (key: Key) => Server {
  const candidates = [...servers].map(([name, server]) => ({ server, seed: seedOf(name) }))
  const [only] = candidates
  if (candidates.length === 1 && only) return () => only.server
  return (key) => {
    // A key is a hash, so a few of its digits are as good as all of them.
    const digits = Number.parseInt(key.slice(0, 8), 16)
    let best: Server | undefined
    let highest = -1
    for (const { server, seed } of candidates) {
      const score = mixed(digits ^ seed)
      if (score <= highest) continue
      highest = score
      best = server
    }
    return best as Server
  }
}

function seedOf(name: string): number {
  return createHash('sha256').update(name).digest().readUInt32LE()
}

/** Each bit of the result depends on all bits of the number (the finalizer of MurmurHash3). */
function mixed(number: number): number {
  let bits = number | 0
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b)
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
  return (bits ^ (bits >>> 16)) >>> 0
}
