import type { Link } from '../../store.ts'
import { isPromise, settle, type Awaitable, type Key, type Version } from '../../units.ts'

/** A question to the store, and what was heard of its key while it was under way: an older answer is not kept. */
export interface Question {
  minVersion: Version
  readonly isSave: boolean
  readonly link: Link
  readonly generation: number
}

/** No version reaches it: the answer is not kept at all. */
const NEVER: Version = Infinity

/** The questions to the store that are under way, by their keys. */
export class Questions {
  readonly #underWay = new Map<Key, Set<Question>>()

  has(key: Key): boolean {
    return this.#underWay.has(key)
  }

  /** Asks the store. Until the answer is there, the question hears what happens to its key. */
  ask<Answer>(
    key: Key,
    question: Question,
    request: () => Awaitable<Answer>,
    answered: (answer: Answer) => Answer,
    failed?: () => void,
  ): Awaitable<Answer> {
    return settle(
      () => {
        const answer = request()
        if (isPromise(answer)) this.#add(key, question)
        return answer
      },
      (answer) => {
        this.#remove(key, question)
        return answered(answer)
      },
      (error) => {
        this.#remove(key, question)
        failed?.()
        throw error
      },
    )
  }

  /** The key was written as this version; returns whether one of the questions under way is a save of this process. */
  hear(key: Key, version: Version): boolean {
    let isSaving = false
    for (const question of this.#underWay.get(key) ?? []) {
      if (question.minVersion < version) question.minVersion = version
      isSaving ||= question.isSave
    }
    return isSaving
  }

  /** No answer to a question that was asked before now may be kept. */
  overtake(key: Key): void {
    this.hear(key, NEVER)
  }

  overtakeAll(): void {
    for (const key of this.#underWay.keys()) this.overtake(key)
  }

  #add(key: Key, question: Question): void {
    const questions = this.#underWay.get(key)
    if (questions) questions.add(question)
    else this.#underWay.set(key, new Set([question]))
  }

  #remove(key: Key, question: Question): void {
    const questions = this.#underWay.get(key)
    questions?.delete(question)
    if (questions?.size === 0) this.#underWay.delete(key)
  }
}
