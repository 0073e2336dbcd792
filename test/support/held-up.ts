import { once } from 'node:events'
import { connect } from 'node:net'
import type { TestContext } from 'node:test'
import { Worker } from 'node:worker_threads'

const ANSWERING = `
  const { parentPort, workerData } = require('node:worker_threads')
  const server = require('node:net').createServer((socket) => socket.on('data', () => {
    socket.write('an answer', () => {
      Atomics.store(workerData, 0, 1)
      Atomics.notify(workerData, 0)
    })
  }))
  server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port))`

/** This process does nothing for so long, as on a machine that is busy with others. */
export function heldUp(length: number): void {
  const nothing = new Int32Array(new SharedArrayBuffer(4))
  for (const due = performance.now() + length; performance.now() < due;) {
    Atomics.wait(nothing, 0, 0, Math.ceil(due - performance.now()))
  }
}

/** A thread that answers while this process is held up. `isThere` holds the process up until the answer has come. */
export async function answeringThread(test: TestContext): Promise<{ ask(): Promise<string>; isThere(): void }> {
  const hasAnswered = new Int32Array(new SharedArrayBuffer(4))
  const thread = new Worker(ANSWERING, { eval: true, workerData: hasAnswered })
  test.after(() => thread.terminate())
  const [port] = (await once(thread, 'message')) as [number]
  const socket = connect(port, '127.0.0.1')
  test.after(() => socket.destroy())
  await once(socket, 'connect')
  return {
    async ask() {
      socket.write('a question')
      return String(await once(socket, 'data'))
    },
    isThere: () => void Atomics.wait(hasAnswered, 0, 0),
  }
}
