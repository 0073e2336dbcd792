/** The value that these bytes of MessagePack hold. Throws if they are not exactly one value of it. */
export function decodeMsgpack(bytes: Uint8Array): unknown {
  const reader = new Reader(bytes)
  const value = reader.value(0)
  if (!reader.isAtEnd) throw new Error('there is something after the value')
  return value
}

/** Deeper data is no session's. */
const MAX_DEPTH = 500
const TIMESTAMP = -1

class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  value(depth: number): unknown {
    if (depth > MAX_DEPTH) throw new Error('it is nested too deep')
    const type = this.#unsigned(1)
    if (type < 0x80) return type
    if (type < 0x90) return this.#map(type & 0x0f, depth)
    if (type < 0xa0) return this.#list(type & 0x0f, depth)
    if (type < 0xc0) return this.#text(type & 0x1f)
    if (type >= 0xe0) return type - 0x100
    switch (type) {
      case 0xc0:
        return null
      case 0xc2:
        return false
      case 0xc3:
        return true
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return Buffer.from(this.#take(this.#unsigned(2 ** (type - 0xc4))))
      case 0xc7:
      case 0xc8:
      case 0xc9:
        return this.#extension(this.#unsigned(2 ** (type - 0xc7)))
      case 0xca:
        return this.#take(4).readFloatBE()
      case 0xcb:
        return this.#take(8).readDoubleBE()
      case 0xcc:
      case 0xcd:
      case 0xce:
        return this.#unsigned(2 ** (type - 0xcc))
      case 0xcf:
        return safe(this.#take(8).readBigUInt64BE())
      case 0xd0:
      case 0xd1:
      case 0xd2:
        return this.#signed(2 ** (type - 0xd0))
      case 0xd3:
        return safe(this.#take(8).readBigInt64BE())
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.#extension(2 ** (type - 0xd4))
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.#text(this.#unsigned(2 ** (type - 0xd9)))
      case 0xdc:
      case 0xdd:
        return this.#list(this.#unsigned(2 ** (type - 0xdb)), depth)
      case 0xde:
      case 0xdf:
        return this.#map(this.#unsigned(2 ** (type - 0xdd)), depth)
      default:
        throw new Error('there is a type that MessagePack does not have')
    }
  }

  #take(length: number): Buffer {
    if (length > this.#bytes.length - this.#at) throw new Error('it was cut short')
    return this.#bytes.subarray(this.#at, (this.#at += length))
  }

  #unsigned(length: number): number {
    return this.#take(length).readUIntBE(0, length)
  }

  #signed(length: number): number {
    return this.#take(length).readIntBE(0, length)
  }

  #text(length: number): string {
    return this.#take(length).toString()
  }

  #list(length: number, depth: number): unknown[] {
    const list: unknown[] = []
    while (list.length < length) list.push(this.value(depth + 1))
    return list
  }

  #map(length: number, depth: number): object {
    const entries: [string, unknown][] = []
    while (entries.length < length) entries.push([String(this.value(depth + 1)), this.value(depth + 1)])
    return Object.fromEntries(entries)
  }

  #extension(length: number): unknown {
    const type = this.#signed(1)
    const data = this.#take(length)
    if (type !== TIMESTAMP) throw new Error('it has an extension that is not known')
    if (length === 4) return new Date(data.readUInt32BE() * 1000)
    if (length === 8) {
      const whole = data.readBigUInt64BE()
      return dateOf(whole & 0x3_ffff_ffffn, whole >> 34n)
    }
    if (length === 12) return dateOf(data.readBigInt64BE(4), BigInt(data.readUInt32BE()))
    throw new Error('it has a timestamp of no known length')
  }
}

function dateOf(seconds: bigint, nanoseconds: bigint): Date {
  return new Date(Number(seconds * 1000n + nanoseconds / 1_000_000n))
}

/** A number, if it is exact as one. */
function safe(number: bigint): number | bigint {
  return Number.isSafeInteger(Number(number)) ? Number(number) : number
}
