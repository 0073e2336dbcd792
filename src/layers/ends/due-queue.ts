import type { Instant } from '../../units.ts'

/** Something that is to be done at an instant. */
export interface Task {
  /** Kept by the queue. */
  due: Instant
}

interface HeapNode<Item> {
  readonly item: Item
  readonly due: Instant
}

/** Tasks by the instant at which they are due, soonest first. A binary heap, so that one timer serves any number of tasks. */
export class DueQueue<Item extends Task> {
  /** Each node is due no later than its two children. A node whose task has moved since is skipped when its turn comes. */
  #heap: HeapNode<Item>[] = []

  /** When the next task may be due; `Infinity` if there is none. */
  get next(): Instant {
    return this.#heap[0]?.due ?? Infinity
  }

  /** Puts a task in, or moves it. */
  put(item: Item, due: Instant): void {
    item.due = due
    const heap = this.#heap
    const node = { item, due }
    let at = heap.push(node) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (heap[parent]!.due <= due) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = node
  }

  /** Takes a task out. */
  remove(item: Item): void {
    item.due = NaN // NaN equals nothing, so the task's nodes are skipped
  }

  /** Takes out at most so many of the tasks that are due. */
  take(now: Instant, atMost: number): Item[] {
    const taken: Item[] = []
    while (this.next <= now && taken.length < atMost) {
      const { item, due } = this.#shift()
      if (item.due !== due) continue
      this.remove(item)
      taken.push(item)
    }
    return taken
  }

  clear(): void {
    this.#heap = []
  }

  #shift(): HeapNode<Item> {
    const heap = this.#heap
    const first = heap[0]!
    const last = heap.pop()!
    if (heap.length === 0) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child + 1 < heap.length && heap[child + 1]!.due < heap[child]!.due) child++
      if (child >= heap.length || last.due <= heap[child]!.due) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
    return first
  }
}
