import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import type { Milliseconds } from '../../src/units.ts'
import { now } from './history.ts'
import type { Random } from './random.ts'

const START = process.hrtime.bigint()

/** The cable between one worker and the server. It never loses or swaps bytes: it holds them back, or is cut. */
export class FaultyCable {
  readonly #connections = new Set<Connection>()
  readonly #server = createServer((near) => this.#join(near))
  readonly #target: number
  readonly #random: Random
  #isBlack = false
  #delay: Milliseconds = 0

  constructor(target: number, random: Random) {
    this.#target = target
    this.#random = random
  }

  async open(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return (this.#server.address() as AddressInfo).port
  }

  /** Nothing gets through, and nobody is told; new connections are accepted and answered by nobody. */
  blackHole(): void {
    this.#isBlack = true
    for (const connection of this.#connections) connection.hold()
  }

  /** The same for one connection; others, and new ones, go on. */
  blackHoleOne(): void {
    this.#random.oneOf([...this.#connections])?.hold()
  }

  heal(): void {
    this.#isBlack = false
    this.#delay = 0
    for (const connection of this.#connections) connection.release()
  }

  /** From now on the server's bytes take this long, or at random less, and no two connections are alike. */
  delay(most: Milliseconds, { exactly = false }: { exactly?: boolean } = {}): void {
    this.#delay = most
    for (const connection of this.#connections)
      connection.delayBy(exactly ? most : this.#random.between(0, most), exactly)
  }

  /** The same for the oldest connection only. */
  delayFirst(most: Milliseconds, { exactly = false }: { exactly?: boolean } = {}): void {
    for (const connection of [...this.#connections].slice(0, 1)) connection.delayBy(most, exactly)
  }

  cutOne(): void {
    this.#random.oneOf([...this.#connections])?.cut()
  }

  async close(): Promise<void> {
    for (const connection of this.#connections) connection.cut()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  #join(near: Socket): void {
    const connection = new Connection(near, connect(this.#target, '127.0.0.1'), this.#random)
    this.#connections.add(connection)
    near.on('close', () => this.#connections.delete(connection))
    connection.delayBy(this.#random.between(0, this.#delay), false)
    if (this.#isBlack) connection.hold()
  }
}

class Connection {
  #delay: Milliseconds = 0
  #isExact = false
  readonly #near: Socket
  readonly #far: Socket
  readonly #random: Random
  #isHeld = false
  readonly #waiting: { to: Socket; chunk: Buffer; due: Milliseconds }[][] = [[], []]

  constructor(near: Socket, far: Socket, random: Random) {
    this.#near = near
    this.#far = far
    this.#random = random
    this.#carry(near, far, 0)
    this.#carry(far, near, 1)
  }

  delayBy(most: Milliseconds, exactly: boolean): void {
    this.#delay = most
    this.#isExact = exactly
  }

  hold(): void {
    this.#isHeld = true
  }

  release(): void {
    this.#isHeld = false
    this.#delay = 0
    for (const queue of this.#waiting) this.#pump(queue)
  }

  cut(): void {
    this.#near.destroy()
    this.#far.destroy()
  }

  #carry(from: Socket, to: Socket, direction: 0 | 1): void {
    const queue = this.#waiting[direction]!
    from.setNoDelay(true)
    from.on('error', () => from.destroy())
    from.on('close', () => to.destroy())
    from.on('data', (chunk) => {
      const wait = direction === 0 ? 0 : this.#isExact ? this.#delay : this.#random.between(0, this.#delay)
      const due = Math.max(now(START) + wait, queue.at(-1)?.due ?? 0)
      if (queue.length === 0 && wait === 0 && !this.#isHeld) return void to.write(chunk)
      queue.push({ to, chunk, due })
      if (queue.length === 1) this.#pump(queue)
    })
  }

  /** In order: what is due leaves, the rest waits for it. */
  #pump(queue: { to: Socket; chunk: Buffer; due: Milliseconds }[]): void {
    while (queue.length > 0 && !this.#isHeld) {
      const { to, chunk, due } = queue[0]!
      const wait = due - now(START)
      if (wait > 0 && !this.#near.destroyed) return void setTimeout(() => this.#pump(queue), wait)
      queue.shift()
      if (!to.destroyed) to.write(chunk)
    }
  }
}
