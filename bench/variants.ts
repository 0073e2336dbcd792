/** A database server that the benchmark starts. */
export type DatabaseName = 'postgres' | 'mariadb'

/** One server that is measured. */
export interface Variant {
  readonly name: string
  readonly title: string
  /** Ratios are to the bare server of the same framework. */
  readonly family: 'koa' | 'express' | 'fastify'
  readonly file: 'koa.mjs' | 'express.mjs' | 'fastify.mjs'
  /** What it reads without having a session: the floor of its family. */
  readonly isBare?: true
  readonly isOurs?: true
  readonly usesRedis?: true
  /** The database that it needs beside it. */
  readonly database?: DatabaseName
  /** Whether it is compared in every scenario, in the quick run and with every version of Node. */
  readonly isMain?: true
}

const KOA = { family: 'koa', file: 'koa.mjs' } as const
const OURS = { ...KOA, isOurs: true } as const
const EXPRESS = { family: 'express', file: 'express.mjs' } as const
const FASTIFY = { family: 'fastify', file: 'fastify.mjs' } as const

export const VARIANTS: readonly Variant[] = [
  { ...KOA, name: 'koa-bare', title: 'Koa alone', isBare: true, isMain: true },
  { ...KOA, name: 'koa-als', title: 'Koa + AsyncLocalStorage', isBare: true, isMain: true },
  { ...KOA, name: 'koa-mechanism', title: 'Koa + what the guarantees need', isBare: true, isMain: true },
  { ...OURS, name: 'ours-memory', title: 'koa-server-session, memory', isMain: true },
  { ...OURS, name: 'ours-file', title: 'koa-server-session, files', isMain: true },
  { ...OURS, name: 'ours-redis', title: 'koa-server-session, Redis', usesRedis: true, isMain: true },
  { ...OURS, name: 'ours-redis-encrypted', title: 'koa-server-session, Redis, encrypted', usesRedis: true },
  { ...OURS, name: 'ours-sqlite', title: 'koa-server-session, SQLite' },
  { ...OURS, name: 'ours-postgres', title: 'koa-server-session, PostgreSQL', database: 'postgres' },
  { ...OURS, name: 'ours-mariadb', title: 'koa-server-session, MariaDB', database: 'mariadb' },
  { ...KOA, name: 'koa-session-cookie', title: 'koa-session, in the cookie' },
  { ...KOA, name: 'koa-session-map', title: 'koa-session, a Map' },
  { ...KOA, name: 'koa-session-redis', title: 'koa-session, ioredis', usesRedis: true, isMain: true },
  { ...KOA, name: 'koa-generic-session', title: 'koa-generic-session, koa-redis', usesRedis: true },
  { ...EXPRESS, name: 'express-bare', title: 'Express alone', isBare: true, isMain: true },
  { ...EXPRESS, name: 'express-session-memory', title: 'express-session, memory' },
  { ...EXPRESS, name: 'express-session-redis', title: 'express-session, connect-redis', usesRedis: true, isMain: true },
  { ...EXPRESS, name: 'express-session-file', title: 'express-session, session-file-store' },
  { ...EXPRESS, name: 'express-session-sqlite', title: 'express-session, better-sqlite3-session-store' },
  {
    ...EXPRESS,
    name: 'express-session-postgres',
    title: 'express-session, connect-pg-simple',
    database: 'postgres',
  },
  { ...FASTIFY, name: 'fastify-bare', title: 'Fastify alone', isBare: true },
  { ...FASTIFY, name: 'fastify-session', title: '@fastify/session, memory' },
]

export function variantNamed(name: string): Variant {
  const variant = VARIANTS.find((candidate) => candidate.name === name)
  if (!variant)
    throw new Error(`There is no variant ${name}; there are ${VARIANTS.map((each) => each.name).join(', ')}.`)
  return variant
}

/**
 * Pairs of which the second does all that the first does, and more. If it is measured as the cheaper one, the results say
 * that this is noise.
 */
export const DEARER: readonly (readonly [cheaper: string, dearer: string])[] = [
  ['koa-bare', 'koa-als'],
  ['koa-als', 'koa-mechanism'],
  ['koa-mechanism', 'ours-memory'],
  ['ours-memory', 'ours-file'],
  ['ours-memory', 'ours-redis'],
  ['ours-redis', 'ours-redis-encrypted'],
  ['koa-bare', 'koa-session-map'],
  ['koa-session-map', 'koa-session-redis'],
  ['express-bare', 'express-session-memory'],
  ['express-session-memory', 'express-session-redis'],
  ['fastify-bare', 'fastify-session'],
]

/** The bare server that this variant is compared with. */
export function bareOf({ family }: Variant): string {
  return `${family}-bare`
}
