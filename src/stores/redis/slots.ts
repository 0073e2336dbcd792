/** How many slots a Cluster has. */
export const SLOTS = 16_384

const POLYNOMIAL = 0x1021
const REMAINDERS = Uint16Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte << 8
  for (let bit = 0; bit < 8; bit++) remainder = remainder & 0x8000 ? (remainder << 1) ^ POLYNOMIAL : remainder << 1
  return remainder
})
const encoder = new TextEncoder()
/** Names whose slots are known, by slot; all of them are short. */
const names = new Map<number, string>()
let namesTried = 0

/** The slot of a Cluster that a name belongs to: by what stands between its first braces, if anything does. */
export function slotOf(name: string): number {
  const opening = name.indexOf('{')
  const closing = opening < 0 ? -1 : name.indexOf('}', opening)
  const hashed = closing > opening + 1 ? name.slice(opening + 1, closing) : name
  let crc = 0
  for (let at = 0; at < hashed.length; at++) {
    const byte = hashed.charCodeAt(at)
    if (byte > 0x7f) return encoder.encode(hashed).reduce(next, 0) % SLOTS
    crc = next(crc, byte)
  }
  return crc % SLOTS
}

function next(crc: number, byte: number): number {
  return ((crc << 8) ^ REMAINDERS[(crc >> 8) ^ byte]!) & 0xffff
}

/** A short name of this slot, the same in every process. It is found by trying: 16 384 tries on average, once for a slot. */
export function nameIn(slot: number): string {
  while (!names.has(slot)) {
    const name = (namesTried++).toString(36)
    const found = slotOf(name)
    if (!names.has(found)) names.set(found, name)
  }
  return names.get(slot)!
}
