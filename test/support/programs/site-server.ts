/** A process that serves the test site: tells its port to its parent, and ends with it. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { SessionOptions } from '../../../src/index.ts'
import { LASTING } from '../sites/http.ts'
import { testSite } from '../sites/test-site.ts'

const { app } = testSite(JSON.parse(process.argv[2] as string) as SessionOptions)
const server = createServer(LASTING, app.callback())
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
process.on('disconnect', () => process.exit())
