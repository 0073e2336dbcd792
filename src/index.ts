export { SessionError, isSessionError, type RequiredProof, type SessionErrorCode } from './errors.ts'
export { session, session as default } from './middleware.ts'
export type { Sessions } from './sessions.ts'
export { bindSession, getSession, runWithSession, tryGetSession, tryGetSessionId } from './http/context.ts'
export { crossOrigin, type CrossOriginOptions } from './http/cross-origin.ts'
export { requireProof, type RequireProofOptions } from './http/require-proof.ts'
export {
  fromExpressStore,
  type ExpressSessionStore,
  type ExpressStoreOptions,
  type OneProcessStore,
} from './stores/express.ts'
export { fileStore, type FileStoreOptions } from './stores/file.ts'
export { memcachedStore, type MemcachedClient, type MemcachedStoreOptions } from './stores/memcached.ts'
export { memoryStore, type MemoryStoreOptions } from './stores/memory.ts'
export { movingStore, type MovingStoreOptions } from './stores/moving.ts'
export { mysqlStore, type MysqlPool, type MysqlStoreOptions } from './stores/mysql.ts'
export { nullStore } from './stores/null.ts'
export { postgresStore, type PostgresPool, type PostgresStoreOptions } from './stores/postgres.ts'
export { redisShards, type RedisServers, type RedisShardsOptions } from './stores/redis-shards.ts'
export {
  redisStore,
  type IoredisClient,
  type NodeRedisClient,
  type RedisClient,
  type RedisStoreOptions,
} from './stores/redis.ts'
export { sqliteStore, type SqliteConnection, type SqliteStoreOptions } from './stores/sqlite.ts'
export type { CacheOptions } from './layers/cached.ts'
export type { CookieOptions } from './http/attributes.ts'
export type { DiagnosticMessage, SessionStats } from './diagnostics.ts'
export type { Keys } from './http/keyring.ts'
export type { SessionOptions } from './options.ts'
export type { Deleted, Found, Link, Listener, Saved, Store, SubjectIndex, Watch } from './store.ts'
export type { SessionSummary } from './session/subjects.ts'
export type { Awaitable, Instant, Key, Milliseconds, SubjectName, Version } from './units.ts'
export type { Serializer } from './record/codec.ts'
export type {
  DestroyOptions,
  IdentifyOptions,
  LimitedIdentifyOptions,
  RegenerateOptions,
  RememberOptions,
} from './session/member-options.ts'
export type { Session, SessionCallback, SessionMembers } from './session/types.ts'
// `export *`, because declaration merging reaches an interface only through such an export.
export * from './session/data.ts'
