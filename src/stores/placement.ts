import { createHash } from 'node:crypto'
import type { Key } from '../units.ts'

/**
 * Gives a function that says which of the servers keeps a key, by rendezvous hashing over the names of the servers. Every
 * process with the same names, in any order, gets the same answer. Whether a server is up does not matter: if a key moved
 * away while its server was down, that server would come back with the session as it was before its logout. A new server
 * takes over only the keys that score highest on it.
 *
 * Sessions lie where this has put them, so neither the seeds nor the scores may ever change.
 */
export function placement<Server>(servers: ReadonlyMap<string, Server>): (key: Key) => Server {
  // In the order of the names, so that the order in which they were listed decides nothing, not even between equal seeds.
  const names = [...servers.keys()].toSorted((one, other) => (one < other ? -1 : 1))
  const candidates = names.map((name) => ({ server: servers.get(name) as Server, seed: seedOf(name) }))
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
