import type { Worker } from 'node:cluster'
import { setTimeout as sleep } from 'node:timers/promises'
import type { PrivateRedis } from '../private-redis.ts'
import { addSigningKey } from '../signing-key.ts'
import type { FromWorker, ToWorker, Wish } from './team.ts'

export interface Site {
  readonly workers: readonly Worker[]
  /** Absent if the site has none of its own. */
  readonly redis: PrivateRedis | undefined
  /** How long Redis stays away at least when it is stopped, in milliseconds. */
  readonly away: number
  /** Where the site keeps its signing keys. */
  readonly keyFile: string
}

/** The process that started the others: hands on what they tell each other, and grants what the buttons ask for. */
export function attend({ workers, redis, away, keyFile }: Site): void {
  const answers = new Map<number, () => void>()
  let isBack: Promise<void> = Promise.resolve()
  let lookedAround = (): void => {}
  let number = 0

  const granted: Record<Wish, () => Promise<void>> = {
    // As an operator does it with several machines: first all accept the new key, and then all sign with it.
    async 'change the key'() {
      const [newest = '', ...older] = addSigningKey(keyFile)
      await useEverywhere([...older, newest])
      await useEverywhere([newest, ...older])
    },
    async 'stop Redis'() {
      await isBack // two visitors may press the button
      await redis?.pause()
      const isSeen = new Promise<void>((resolve) => (lookedAround = resolve))
      isBack = Promise.all([sleep(away, undefined, { ref: false }), isSeen]).then(() => redis?.resume())
      isBack.catch(() => {}) // whoever waits for it is told
    },
    'wait for Redis'() {
      lookedAround()
      return isBack
    },
  }

  async function useEverywhere(keys: readonly string[]): Promise<void> {
    await Promise.all(
      workers.map((worker) => {
        const mine = ++number
        return new Promise<void>((resolve) => {
          answers.set(mine, resolve)
          send(worker, { hood: 'keys', keys, number: mine })
        })
      }),
    )
  }

  function hear(worker: Worker, message: FromWorker): void {
    if (message.hood === 'entry') {
      for (const other of workers) if (other !== worker) send(other, message)
    } else if (message.hood === 'done') {
      answers.get(message.number)?.()
      answers.delete(message.number)
    } else if (message.hood === 'wish') {
      const { wish, number: asked } = message
      granted[wish]().then(
        () => send(worker, { hood: 'granted', number: asked }),
        (error: Error) => send(worker, { hood: 'granted', number: asked, error: error.message }),
      )
    }
  }

  for (const worker of workers) worker.on('message', (message: FromWorker) => hear(worker, message))
}

function send(worker: Worker, message: ToWorker): void {
  if (worker.isConnected()) worker.send(message)
}
