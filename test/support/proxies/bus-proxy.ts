import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/** Where a message of a Cluster's bus names its sender. */
const SENDER = { from: 40, to: 80 }

/**
 * The way by which one server of a Cluster is reached by the others, over their bus. A message names its sender, so some
 * of the others can be cut off from it, in both directions, while the rest hears nothing of that.
 */
export class BusProxy {
  readonly #server = createServer((near) => this.#join(near))
  readonly #sockets = new Set<Socket>()
  readonly #held = new Set<Socket>()
  #busPort = 0
  #isCutOff: (id: string) => boolean = () => false

  /** The port that the server has to announce. */
  async open(busPort: number): Promise<number> {
    this.#busPort = busPort
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return (this.#server.address() as AddressInfo).port
  }

  /** From now on nothing gets through from or to these servers, by their ids, and nobody is told. */
  cutOff(isCutOff: (id: string) => boolean): void {
    this.#isCutOff = isCutOff
  }

  /** Everybody is heard again. Connections over which something was held back are made anew. */
  heal(): void {
    this.#isCutOff = () => false
    for (const socket of this.#held) socket.destroy()
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  #join(near: Socket): void {
    const far = connect(this.#busPort, '127.0.0.1')
    let beginning = Buffer.alloc(0)
    let sender: string | undefined
    const carry = (from: Socket, to: Socket): void => {
      this.#sockets.add(from)
      from.setNoDelay(true)
      from.on('error', () => from.destroy())
      from.on('close', () => {
        this.#sockets.delete(from)
        this.#held.delete(from)
        to.destroy()
      })
      from.on('data', (chunk) => {
        if (sender === undefined && from === near) {
          beginning = Buffer.concat([beginning, chunk])
          if (beginning.length >= SENDER.to) sender = beginning.toString('latin1', SENDER.from, SENDER.to)
        }
        if (sender !== undefined && this.#isCutOff(sender)) this.#held.add(from)
        else if (!this.#held.has(from)) to.write(chunk)
      })
    }
    carry(near, far)
    carry(far, near)
  }
}
