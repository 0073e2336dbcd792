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
  delay(most: Milliseconds): void {
    this.#delay = most
    for (const connection of this.#connections) connection.delayBy(this.#random.between(0, most))
  }

  /** The same for the oldest connection only. */
  delayFirst(most: Milliseconds): void {
    for (const connection of [...this.#connections].slice(0, 1)) connection.delayBy(this.#random.between(0, most))
  }

  /** The server's answers on the oldest connection stand still until `heal`. Resolves when the first one has come. */
  holdAnswers(): { readonly arrived: Promise<void> } {
    const [oldest] = this.#connections
    if (!oldest) throw new Error('there is no connection whose answers could be held')
    return { arrived: oldest.holdAnswers() }
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
    connection.delayBy(this.#random.between(0, this.#delay))
    if (this.#isBlack) connection.hold()
  }
}

class Connection {
  #delay: Milliseconds = 0
  readonly #near: Socket
  readonly #far: Socket
  readonly #random: Random
  readonly #directions: readonly [Direction, Direction] = [
    { waiting: [], isHeld: false, arrive: undefined },
    { waiting: [], isHeld: false, arrive: undefined },
  ]

  constructor(near: Socket, far: Socket, random: Random) {
    this.#near = near
    this.#far = far
    this.#random = random
    this.#carry(near, far, 0)
    this.#carry(far, near, 1)
  }

  delayBy(most: Milliseconds): void {
    this.#delay = most
  }

  hold(): void {
    for (const direction of this.#directions) direction.isHeld = true
  }

  holdAnswers(): Promise<void> {
    const [, answers] = this.#directions
    answers.isHeld = true
    return new Promise((resolve) => (answers.arrive = resolve))
  }

  release(): void {
    this.#delay = 0
    for (const direction of this.#directions) {
      direction.isHeld = false
      this.#pump(direction)
    }
  }

  cut(): void {
    this.#near.destroy()
    this.#far.destroy()
  }

  #carry(from: Socket, to: Socket, index: 0 | 1): void {
    const direction = this.#directions[index]
    const { waiting } = direction
    from.setNoDelay(true)
    from.on('error', () => from.destroy())
    from.on('close', () => to.destroy())
    from.on('data', (chunk) => {
      const wait = index === 0 ? 0 : this.#random.between(0, this.#delay)
      const due = Math.max(now(START) + wait, waiting.at(-1)?.due ?? 0)
      if (waiting.length === 0 && wait === 0 && !direction.isHeld) return void to.write(chunk)
      waiting.push({ to, chunk, due })
      direction.arrive?.()
      if (waiting.length === 1) this.#pump(direction)
    })
  }

  /** In order: what is due leaves, the rest waits for it. */
  #pump(direction: Direction): void {
    const { waiting } = direction
    while (waiting.length > 0 && !direction.isHeld) {
      const { to, chunk, due } = waiting[0]!
      const wait = due - now(START)
      if (wait > 0 && !this.#near.destroyed) return void setTimeout(() => this.#pump(direction), wait)
      waiting.shift()
      if (!to.destroyed) to.write(chunk)
    }
  }
}

/** What a connection carries from the client to the server, or back. */
interface Direction {
  readonly waiting: { readonly to: Socket; readonly chunk: Buffer; readonly due: Milliseconds }[]
  isHeld: boolean
  /** Called when something has come that waits. */
  arrive: (() => void) | undefined
}
