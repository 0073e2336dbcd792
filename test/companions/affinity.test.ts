import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { readPage } from '../support/documents/pages.ts'
import { affinityProxy } from '../support/proxies/affinity-proxy.ts'
import { Agent, sessionOf, siteWith } from '../support/sites/http.ts'

const ROOT = join(import.meta.dirname, '../../..')

/** What the guide has nginx do, with these servers in the place of its own. */
function directivesOfTheGuide(ports: readonly number[]): string {
  const block = readPage(ROOT, 'docs/many-machines.md').blocks.find(({ language }) => language === 'nginx')
  assert.ok(block, 'the guide has a block for nginx')
  const servers = ports.map((port) => `server 127.0.0.1:${port};`).join('\n')
  const directives = block.code.replace(/(?: *server \S+;\n)+/, `${servers}\n`)
  assert.notEqual(directives, block.code)
  return directives
}

/** Three nodes, each of which says which one it is. */
async function nodes(test: TestContext): Promise<number[]> {
  const ports: number[] = []
  for (let name = 0; name < 3; name++) {
    const { port } = await siteWith(test, {}, (ctx) => {
      if (ctx.path === '/in') sessionOf(ctx)['user'] = 'ada'
      ctx.body = `node ${name}`
    })
    ports.push(port)
  }
  return ports
}

describe('nginx with the directives of the guide, in front of several nodes', () => {
  it('sends a visitor to one node, visitors to all nodes, and strangers to any', async (test) => {
    const ports = await nodes(test)
    const proxy = await affinityProxy(directivesOfTheGuide(ports))
    test.after(() => proxy.stop())
    const nodeOf = async (cookie?: string): Promise<string> =>
      (await new Agent(proxy.port).get('/', cookie === undefined ? {} : { cookie })).text
    const met = new Set<string>()
    for (let visitor = 0; visitor < 30; visitor++) {
      const agent = new Agent(proxy.port)
      await agent.get('/in')
      const cookie = agent.cookieHeader
      assert.match(cookie, /^sid=/)
      const answers = [await nodeOf(cookie), await nodeOf(`theme=dark; ${cookie}`), await nodeOf(`__Host-${cookie}`)]
      assert.equal(new Set(answers).size, 1, 'the same node for the same session, whichever name its cookie has')
      met.add(answers[0]!)
    }
    assert.equal(met.size, 3)
    const strangers = new Set<string>()
    for (let stranger = 0; stranger < 30; stranger++) strangers.add(await nodeOf())
    assert.equal(strangers.size, 3)
  })
})
