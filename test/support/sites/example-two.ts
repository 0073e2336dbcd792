import { startExample, type ExampleOptions, type ExampleSite } from './example-site.ts'

// The program starts a Redis by itself, unless SESSION_STORE names a store. This import tells the test runner.
import '../servers/redis-server.ts'

/** `node dist/example/two.js`: the example site twice on one port. */
export function startTwo(options: Omit<ExampleOptions, 'program'>): Promise<ExampleSite> {
  return startExample({ ...options, program: 'two' })
}
