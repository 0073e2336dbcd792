import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileStore } from '../../src/stores/file.ts'
import { start, type Process } from '../support/processes/processes.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const KEY = `3f${'a'.repeat(62)}`
const WRITERS = ['a', 'b', 'c', 'd']
const KILLS = 10
const KILL_EVERY = 60
// What is stuck is so for ever; processes that only start slowly are not.
const LONGEST_STILL = 60_000

interface Text {
  expiresAt: number
  counts: Record<string, number>
  padding: string
}

describe('G13: kill -9 at any moment, file store', () => {
  for (const size of [200, 200_000]) {
    it(`loses no acknowledged save, tears no record and leaves nothing stuck, at ${size} characters`, async () => {
      const directory = join(temporaryDirectory(), 'sessions')
      const store = fileStore({ directory, pruneInterval: 0, grace: 0 })
      const padding = 'x'.repeat(size)
      const expiresAt = Date.now() + 60_000
      const created = await store.save(KEY, JSON.stringify({ counts: {}, padding, expiresAt }), expiresAt, undefined)
      assert.ok(created.saved)

      /** The highest count that each writer was told is saved. */
      const acknowledged: Record<string, number> = Object.fromEntries(WRITERS.map((name) => [name, 0]))
      const writers = new Map<string, Process>()
      /** Those that have saved since they were started: only these can be killed in the midst of it. */
      const saving = new Set<string>()
      let lastHeard = performance.now()
      let longestStill = 0
      let reads = 0
      let kills = 0
      let lastVersion = 0
      let over = false
      let complaint: unknown

      function launch(name: string): void {
        const writer = start('session-writer', [directory, KEY, name], (line) => {
          saving.add(name)
          acknowledged[name] = Math.max(acknowledged[name]!, Number(line))
          longestStill = Math.max(longestStill, performance.now() - lastHeard)
          lastHeard = performance.now()
        })
        writer.failure.catch((error: unknown) => {
          complaint = error
          over = true
        })
        writers.set(name, writer)
      }

      async function check(): Promise<void> {
        const promised = { ...acknowledged }
        const found = await store.load(KEY)
        assert.ok(found, 'the session is there')
        const text = JSON.parse(found.text) as Text
        assert.equal(text.padding.length, size)
        assert.equal(text.expiresAt, found.expiresAt, 'a version is never seen with the end of another one')
        for (const name of WRITERS) assert.ok((text.counts[name] ?? 0) >= promised[name]!, 'what was promised is there')
        const sum = Object.values(text.counts).reduce((a, b) => a + b, 0)
        // Each save counts one and moves the version by one: neither lost nor applied twice, promised or not.
        assert.equal(sum, found.version - created.saved!.version)
        assert.ok(found.version >= lastVersion, 'the version only grows')
        lastVersion = found.version
        reads++
      }

      async function readConstantly(): Promise<void> {
        while (!over) {
          await check()
          assert.ok(performance.now() - lastHeard < LONGEST_STILL, 'somebody gets on')
          // Not without a pause: the writers need the processors too.
          await sleep(1)
        }
      }

      async function killConstantly(): Promise<void> {
        // Counted, not timed: a busy machine needs seconds to start the writers.
        while (kills < KILLS && !over) {
          await sleep(KILL_EVERY)
          const [name] = saving
          if (name === undefined) continue
          await writers.get(name)!.kill()
          saving.delete(name)
          kills++
          if (!over) launch(name)
        }
        // Whatever those left behind that were killed, nobody is stuck.
        saving.clear()
        while (saving.size < WRITERS.length && !over) await sleep(10)
      }

      WRITERS.forEach(launch)
      const jobs = [readConstantly(), killConstantly()]
      try {
        await Promise.race(jobs)
      } finally {
        over = true
        await Promise.allSettled(jobs)
        for (const writer of writers.values()) await writer.kill()
      }
      await Promise.all(jobs)
      assert.equal(complaint, undefined)

      await check()
      const orphans = readdirSync(join(directory, '3f', KEY)).length - 2
      assert.equal(await store.prune!(), 0)
      const left = readdirSync(join(directory, '3f', KEY)).map((name) => name.slice(0, 2))
      assert.deepEqual(left.sort(), ['c.', 'p.'])
      for (const name of ['tmp', 'trash']) assert.deepEqual(readdirSync(join(directory, name)), [])
      await check()
      assert.equal(await store.delete(KEY), true)
      assert.equal(existsSync(join(directory, '3f', KEY)), false)

      const promised = Object.values(acknowledged).reduce((a, b) => a + b, 0)
      assert.ok(promised >= KILLS && reads > 0)
      console.log(
        `# ${kills} kills, ${lastVersion - 1} saves of ${size} characters, ${promised} of them acknowledged, ` +
          `${reads} reads, ${orphans} orphans removed, longest stillness ${longestStill.toFixed(0)} ms`,
      )
    })
  }
})
