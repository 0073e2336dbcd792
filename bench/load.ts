// The load generator: a process of its own, on a processor of its own. A closed loop: each connection asks, checks what
// it is answered, and asks again.

import { performance } from 'node:perf_hooks'
import { Connection, Jar, cookiesOf, requestText } from './http.ts'
import { NOBODY, expectedValue, userName, type Scenario } from './scenarios.ts'
import type { LoadAnswer, LoadQuestion, SliceResult } from './processes.ts'

/** Of a cookie's value: that of koa-server-session, between those of the others. */
const COOKIE_LENGTH = 87

/** Users who are logged in, and the connections over which they ask. */
class Target {
  readonly #scenario: Scenario
  readonly #isBare: boolean
  readonly #connections: Connection[]
  readonly #jars: Jar[]
  /** Ready to be sent; absent where each request is another one. */
  #requests: string[] | undefined
  #bodies: string[] = []
  #turn = 0

  constructor(ports: readonly number[], scenario: Scenario, isBare: boolean) {
    this.#scenario = scenario
    this.#isBare = isBare
    this.#connections = Array.from(
      { length: scenario.connections },
      (_, index) => new Connection(ports[index % ports.length] as number),
    )
    this.#jars = Array.from({ length: scenario.users }, () => new Jar())
  }

  async prepare(): Promise<void> {
    const { hasCookies, path, size } = this.#scenario
    // Bare servers too, so that all have run equally long.
    if (hasCookies) {
      let next = 0
      const logIn = async (connection: Connection): Promise<void> => {
        for (let user = next++; user < this.#jars.length; user = next++) {
          const answer = await connection.get(`/login?user=${userName(user)}&size=${size}`, this.#jars[user] as Jar)
          if (answer.status !== 200) throw new Error(`a login was answered with ${answer.status}`)
        }
      }
      await Promise.all(this.#connections.map(logIn))
      // They have set none, but to read the header of a request is Node's part and in every ratio alike.
      if (this.#isBare) for (const jar of this.#jars) jar.take([`sid=${'a'.repeat(COOKIE_LENGTH)}`])
    }
    this.#bodies = this.#jars.map((_, user) => bodyOf(expectedValue(path, this.#userOf(user), 0)))
    if (path === '/read' || path === '/object' || path === '/anonymous') {
      this.#requests = this.#jars.map(({ header }) => requestText(path, header))
    }
  }

  #userOf(user: number): string {
    return this.#isBare || !this.#scenario.hasCookies ? NOBODY : userName(user)
  }

  slice(milliseconds: number): Promise<SliceResult> {
    const startedAt = performance.now()
    const until = startedAt + milliseconds
    const { users } = this.#scenario
    let requests = 0
    let running = this.#connections.length
    return new Promise((resolve, reject) => {
      const ask = (connection: Connection, index: number): void => {
        const user = users > this.#connections.length ? this.#turn++ % users : index % users
        const { text, body } = this.#next(user, index)
        connection.send(
          text,
          (head, answered) => {
            if (!head.startsWith('HTTP/1.1 200 ') || answered !== body) {
              reject(new Error(`a wrong answer: ${head.slice(9, 12)} ${answered.slice(0, 60)}, expected ${body}`))
              return
            }
            if (this.#scenario.path === '/login' && !this.#isBare) this.#jars[user]?.take(cookiesOf(head))
            requests++
            const now = performance.now()
            if (now < until) ask(connection, index)
            else if (--running === 0) resolve({ requests, seconds: (now - startedAt) / 1000 })
          },
          reject,
        )
      }
      this.#connections.forEach(ask)
    })
  }

  #next(user: number, index: number): { text: string; body: string } {
    const ready = this.#requests?.[user]
    if (ready !== undefined) return { text: ready, body: this.#bodies[user] as string }
    const { path, size } = this.#scenario
    const n = ++this.#turn
    const { header } = this.#jars[user] as Jar
    if (path === '/login') {
      const name = userName(user)
      return { text: requestText(`/login?user=${name}&size=${size}`, header), body: bodyOf(name) }
    }
    const key = path === '/set' ? `key=k${index}&` : ''
    return { text: requestText(`${path}?${key}n=${n}`, header), body: bodyOf(expectedValue(path, '', n)) }
  }

  close(): void {
    for (const connection of this.#connections) connection.close()
  }
}

function bodyOf(value: string): string {
  return `{"value":"${value}"}`
}

const targets = new Map<string, Target>()

async function answer(question: LoadQuestion): Promise<SliceResult | undefined> {
  if (question.ask === 'open') {
    const target = new Target(question.ports, question.scenario, question.isBare)
    targets.set(question.target, target)
    await target.prepare()
  } else if (question.ask === 'slice') {
    return targets.get(question.target)?.slice(question.milliseconds)
  } else {
    targets.get(question.target)?.close()
    targets.delete(question.target)
  }
  return undefined
}

process.on('message', ({ id, ...question }: LoadQuestion & { id: number }) => {
  answer(question as LoadQuestion).then(
    (result) => process.send?.({ id, result } satisfies LoadAnswer),
    (error: unknown) => process.send?.({ id, error: String(error) } satisfies LoadAnswer),
  )
})
process.on('disconnect', () => process.exit())
process.send?.({ port: 0 })
