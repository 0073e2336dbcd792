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
  /** Why it takes no part in some scenarios: here, cookies that hold the session itself. */
  readonly keepsDataInCookie?: true
}

export const VARIANTS: readonly Variant[] = [
  { name: 'koa-bare', title: 'Koa alone', family: 'koa', file: 'koa.mjs', isBare: true },
  { name: 'koa-als', title: 'Koa + AsyncLocalStorage.run', family: 'koa', file: 'koa.mjs', isBare: true },
  { name: 'ours-memory', title: 'koa-server-session, memory', family: 'koa', file: 'koa.mjs', isOurs: true },
  { name: 'ours-file', title: 'koa-server-session, files', family: 'koa', file: 'koa.mjs', isOurs: true },
  {
    name: 'ours-redis',
    title: 'koa-server-session, Redis',
    family: 'koa',
    file: 'koa.mjs',
    isOurs: true,
    usesRedis: true,
  },
  {
    name: 'koa-session-cookie',
    title: 'koa-session, in the cookie',
    family: 'koa',
    file: 'koa.mjs',
    keepsDataInCookie: true,
  },
  { name: 'koa-session-map', title: 'koa-session, a Map', family: 'koa', file: 'koa.mjs' },
  { name: 'koa-session-redis', title: 'koa-session, ioredis', family: 'koa', file: 'koa.mjs', usesRedis: true },
  {
    name: 'koa-generic-session',
    title: 'koa-generic-session, koa-redis',
    family: 'koa',
    file: 'koa.mjs',
    usesRedis: true,
  },
  { name: 'express-bare', title: 'Express alone', family: 'express', file: 'express.mjs', isBare: true },
  { name: 'express-session-memory', title: 'express-session, memory', family: 'express', file: 'express.mjs' },
  {
    name: 'express-session-redis',
    title: 'express-session, connect-redis',
    family: 'express',
    file: 'express.mjs',
    usesRedis: true,
  },
  {
    name: 'express-session-file',
    title: 'express-session, session-file-store',
    family: 'express',
    file: 'express.mjs',
  },
  { name: 'fastify-bare', title: 'Fastify alone', family: 'fastify', file: 'fastify.mjs', isBare: true },
  { name: 'fastify-session', title: '@fastify/session, memory', family: 'fastify', file: 'fastify.mjs' },
]

export function variantNamed(name: string): Variant {
  const variant = VARIANTS.find((candidate) => candidate.name === name)
  if (!variant)
    throw new Error(`There is no variant ${name}; there are ${VARIANTS.map((each) => each.name).join(', ')}.`)
  return variant
}

/** The bare server that this variant is compared with. */
export function bareOf({ family }: Variant): string {
  return `${family}-bare`
}
