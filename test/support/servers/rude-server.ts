import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import type { TestContext } from 'node:test'

/** The name of each command of Redis in what was sent; the text protocol of memcached has none of these. */
const COMMANDS = /^\*\d+\r\n\$\d+\r\n(\w+)\r\n/gm

/**
 * A server that says what no Redis or memcached says: to each command, by its name in small letters, whatever `sayTo`
 * returns. Resolves to its port. It ends with the test.
 */
export async function rudeServer(test: TestContext, sayTo: (command: string) => string): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.setEncoding('latin1'))
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    socket.on('data', (data) => {
      const text = String(data)
      const names = text.startsWith('*') ? Array.from(text.matchAll(COMMANDS), ([, name = '']) => name) : ['']
      socket.write(names.map((name) => sayTo(name.toLowerCase())).join(''), 'latin1')
    })
  }).listen(0, '127.0.0.1')
  test.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** What a master says to everything but what a test is about, so that a client takes it for one. */
export function sayAsMaster(command: string): string {
  return command === 'info' ? '$13\r\nrole:master\r\n\r\n' : '+OK\r\n'
}
