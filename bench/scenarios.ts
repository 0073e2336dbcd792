import type { Variant } from './variants.ts'

/** What one request does, over and over. Plain data: it travels to the load generator. */
export interface Scenario {
  readonly name: string
  readonly title: string
  /** What is measured, for the reader of the results. */
  readonly means: string
  readonly path: '/anonymous' | '/read' | '/object' | '/write' | '/set' | '/login'
  /** How many users take turns. Fewer than connections: connections share them. */
  readonly users: number
  readonly connections: number
  /** What the cart of each session takes, in bytes; 0: no cart. */
  readonly size: number
  /** Whether requests carry cookies. */
  readonly hasCookies: boolean
  /** Sessions in the cache of this library; absent: its default. */
  readonly cache?: number
  /** Whether the signing keys are rotated after everybody has a cookie. */
  readonly rotates?: true
  /** Whether it belongs to `--quick`. */
  readonly isQuick?: true
  /** Whether it is measured most often and with every version of Node. */
  readonly isHeadline?: true
  /** Who takes part: every variant, or the few that are compared everywhere (`isMain`). */
  readonly among: 'all' | 'main'
  /** Variants that take part besides the main ones. */
  readonly also?: readonly string[]
  /** Variants that take no part, because what is measured does not exist there. */
  readonly without?: readonly string[]
}

/** Who keeps sessions in a database. */
const DATABASES = [
  'ours-sqlite',
  'ours-postgres',
  'ours-mariadb',
  'express-session-sqlite',
  'express-session-postgres',
] as const

const USUAL = { users: 32, connections: 32, size: 0, hasCookies: true, among: 'all' } as const

export const SCENARIOS: readonly Scenario[] = [
  {
    ...USUAL,
    name: 'warm-read',
    title: 'Warm read',
    means: 'a signed session is loaded and one string of it is read; 32 users',
    path: '/read',
    isQuick: true,
    isHeadline: true,
  },
  {
    ...USUAL,
    name: 'warm-object',
    title: 'Warm read of a small object',
    means: 'the same, reading an object of four keys, of which the handler gets its own copy',
    path: '/object',
    among: 'main',
  },
  {
    ...USUAL,
    name: 'anonymous',
    title: 'Anonymous request',
    means: 'no cookie, and the session is not touched',
    path: '/anonymous',
    hasCookies: false,
    isQuick: true,
    among: 'main',
  },
  {
    ...USUAL,
    name: 'many-users',
    title: '20 000 users in turn',
    means: 'the warm read, each request by another user; a cache (where there is one) that holds all of them',
    path: '/read',
    users: 20_000,
    cache: 25_000,
    among: 'main',
  },
  {
    ...USUAL,
    name: 'write',
    title: 'Write one key',
    means: 'each request sets one key of its session; 32 users',
    path: '/write',
    isQuick: true,
    isHeadline: true,
  },
  {
    ...USUAL,
    name: 'cold-read',
    title: 'Cold read',
    means: '2 000 users in turn, and a cache (where there is one) of 100: every request asks the store',
    path: '/read',
    users: 2000,
    cache: 100,
    among: 'main',
    also: ['ours-redis-encrypted', 'koa-generic-session', ...DATABASES],
  },
  {
    ...USUAL,
    name: 'large-session',
    title: 'Large session, small read',
    means: 'sessions of 20 kB, of which one string is read',
    path: '/read',
    size: 20_000,
    among: 'main',
    also: ['koa-session-map', 'koa-generic-session'],
  },
  {
    ...USUAL,
    name: 'login',
    title: 'Login',
    means: 'each request regenerates its session and puts 200 bytes into the new one',
    path: '/login',
    without: ['koa-session-cookie'], // there is no id
  },
  {
    ...USUAL,
    name: 'one-session',
    title: '64 parallel requests on one session',
    means: '64 connections with the same cookie, each setting another key',
    path: '/set',
    users: 1,
    connections: 64,
    among: 'main',
    also: ['ours-sqlite', 'ours-postgres', 'ours-mariadb'],
  },
  {
    ...USUAL,
    name: 'key-rotation',
    title: 'Key rotation in progress',
    means: 'the warm read with cookies that an older key signed',
    path: '/read',
    rotates: true,
    among: 'main',
    also: ['koa-session-cookie', 'koa-session-map'],
  },
]

/** Who takes part in a scenario, out of these. */
export function participants(scenario: Scenario, variants: readonly Variant[]): Variant[] {
  return variants.filter(
    ({ name, isMain }) =>
      (scenario.among === 'all' || isMain || scenario.also?.includes(name)) && !scenario.without?.includes(name),
  )
}

export function scenarioNamed(name: string): Scenario {
  const scenario = SCENARIOS.find((each) => each.name === name)
  if (!scenario)
    throw new Error(`There is no scenario ${name}; there are ${SCENARIOS.map((each) => each.name).join(', ')}.`)
  return scenario
}

/** What users log in as. */
export function userName(user: number): string {
  return `user-${user}`
}

/** What bare servers answer with, whoever asks. */
export const NOBODY = 'user-0'

/** What the body must be. */
export function expectedValue(path: Scenario['path'], user: string, n: number): string {
  if (path === '/object') return `Name of ${user}`
  return path === '/write' || path === '/set' ? String(n) : user
}
