import type { Entry } from './journal.ts'

/** What one of the processes that serve the site may ask of the one that started them. */
export type Wish = 'change the key' | 'stop Redis' | 'wait for Redis'

/** What a process tells the one that started it. */
export type FromWorker =
  | { readonly hood: 'entry'; readonly entry: Entry }
  | { readonly hood: 'wish'; readonly wish: Wish; readonly number: number }
  | { readonly hood: 'done'; readonly number: number }

/** And what it is told. */
export type ToWorker =
  | { readonly hood: 'entry'; readonly entry: Entry }
  | { readonly hood: 'granted'; readonly number: number; readonly error?: string }
  | { readonly hood: 'keys'; readonly keys: readonly string[]; readonly number: number }

/** The other processes of the site, as one of them reaches them: through the one that started all of them. */
export class Team {
  /** Whether the Redis with the sessions was started with the site, and may be stopped by it. */
  readonly ownsRedis: boolean
  readonly #wishes = new Map<number, (error?: string) => void>()
  #takeEntry: (entry: Entry) => void = () => {}
  #takeKeys: (keys: readonly string[]) => void = () => {}
  #number = 0

  constructor(ownsRedis: boolean) {
    this.ownsRedis = ownsRedis
    process.on('message', (message) => this.#hear(message as ToWorker))
  }

  onEntry(take: (entry: Entry) => void): void {
    this.#takeEntry = take
  }

  onKeys(take: (keys: readonly string[]) => void): void {
    this.#takeKeys = take
  }

  tell(entry: Entry): void {
    this.#send({ hood: 'entry', entry })
  }

  /** Resolves once the wish is granted. */
  ask(wish: Wish): Promise<void> {
    const number = ++this.#number
    return new Promise((resolve, reject) => {
      this.#wishes.set(number, (error) => (error === undefined ? resolve() : reject(new Error(error))))
      this.#send({ hood: 'wish', wish, number })
    })
  }

  #hear(message: ToWorker): void {
    if (message.hood === 'entry') this.#takeEntry(message.entry)
    else if (message.hood === 'granted') {
      this.#wishes.get(message.number)?.(message.error)
      this.#wishes.delete(message.number)
    } else if (message.hood === 'keys') {
      this.#takeKeys(message.keys)
      this.#send({ hood: 'done', number: message.number })
    }
  }

  /** The process that started this one may be gone already, and nobody else is told. */
  #send(message: FromWorker): void {
    if (process.connected) process.send?.(message)
  }
}
