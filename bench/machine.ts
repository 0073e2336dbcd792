import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem, type as osType } from 'node:os'
import { join } from 'node:path'
import { BENCH, ROOT, isPinned } from './processes.ts'
import type { Machine } from './summary.ts'

/** What the run ran on. Called when it is over. */
export function describeMachine(startedAt: Date, loadBefore: number): Machine {
  const [cpu] = cpus()
  const { dependencies } = JSON.parse(readFileSync(join(BENCH, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
  return {
    date: startedAt.toISOString().slice(0, 10),
    version,
    processors: `${cpus().length} × ${cpu?.model.trim() ?? 'unknown'}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    system: `${osType()} ${release()}`,
    redis: redisVersion(),
    isPinned,
    peers: dependencies,
    loadBefore,
    loadAfter: loadavg()[0] ?? 0,
    minutes: Math.round((Date.now() - startedAt.getTime()) / 60_000),
  }
}

function redisVersion(): string {
  try {
    return /v=([\d.]+)/.exec(execFileSync('redis-server', ['--version'], { encoding: 'utf8' }))?.[1] ?? 'unknown'
  } catch {
    return 'not installed'
  }
}
