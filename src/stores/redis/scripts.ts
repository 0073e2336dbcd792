import { createHash } from 'node:crypto'
import type { Milliseconds } from '../../units.ts'
import type { Commands } from './wire.ts'

/** A Lua script, and the name under which a server keeps it. */
export interface Script {
  readonly lua: string
  readonly sha: string
}

/**
 * A script that changes records. Before it writes, it tells the other nodes: by a message on the channel, or, for a user
 * that may not publish, by removing the epoch, which makes every node forget what it has cached (see `BEAT`).
 */
export interface WritingScript {
  /** KEYS: the record. ARGV: now, the channel or '' for none, the session's key, … Answers {'unheard'} if it may not publish. */
  readonly publishing: Script
  /** The same on a Cluster, where each server has a channel of its own: `<channel>:<the server's id>`. */
  readonly publishingHere: Script
  /** KEYS: the record, the epoch. ARGV: now, '', the session's key, … */
  readonly forgetting: Script
}

// What all scripts begin with. `read` runs the command that fetches the value or its head, and sorts the outcome:
// an expiry and a version, or nothing for an absent key, or a marker for what is not ours and must be left alone.
// `live` compares with the caller's clock, which is what the instants in records come from; a record that only looks
// expired by that clock is answered as gone, but never removed because of it.
const COMMON = `
local UNREADABLE = {'unreadable'}
local function read(...)
  local value = redis.pcall(...)
  if type(value) == 'table' then
    if string.find(value.err or '', 'WRONGTYPE', 1, true) then return nil, UNREADABLE end
    return nil, value
  end
  if not value or (value == '' and redis.call('EXISTS', KEYS[1]) == 0) then return nil end
  local expiresAt, version = string.match(value, '^(%d%d%d%d%d%d%d%d%d%d%d%d%d)|(%d+)|')
  if not version then return nil, UNREADABLE end
  expiresAt = tonumber(expiresAt)
  return {value = value, version = version, expiresAt = expiresAt, live = expiresAt > tonumber(ARGV[1])}
end
-- Before "gone" is answered a write is attempted, so that a replica says READONLY instead of logging people out.
local function gone(held)
  if held then redis.call('SETRANGE', KEYS[1], 0, '') else redis.call('DEL', KEYS[1]) end
end
`

// The other nodes are told before the write: a script that may not tell has then written nothing, and to everybody else
// both happen at once.
const PUBLISH = `
local function tell(message)
  if ARGV[2] == '' then return nil end
  local reply = redis.pcall('PUBLISH', ARGV[2], message .. ' ' .. ARGV[3])
  if type(reply) == 'table' and reply.err then return {'unheard'} end
end
`

// A message on a Cluster is sent to every server, whoever listens there, and everybody who wants to hear of this server
// listens at this server. So without a listener here there is nobody to be told.
const PUBLISH_HERE = `
local function tell(message)
  if ARGV[2] == '' then return nil end
  local id = redis.pcall('CLUSTER', 'MYID')
  if type(id) == 'table' then return {'unheard'} end
  local channel = ARGV[2] .. ':' .. id
  local listeners = redis.pcall('PUBSUB', 'NUMSUB', channel)
  if listeners[2] == 0 then return nil end
  local reply = redis.pcall('PUBLISH', channel, message .. ' ' .. ARGV[3])
  if type(reply) == 'table' and reply.err then return {'unheard'} end
end
`
const FORGET = `
local function tell()
  redis.call('DEL', KEYS[2])
end
`

/**
 * Further ARGV: expected version or '', expiresAt in 13 digits, time to live, text.
 * Answers the new version; or {'gone'}, {'conflict', value}, {'unreadable'}.
 *
 * A version is the server's clock in microseconds, or the next number if that has been used. So versions also grow over
 * a delete and a new create; and if a failover or a restart takes back what was acknowledged, what is written then has
 * another version than what was lost, and nobody takes the one for the other.
 */
export const SAVE: WritingScript = writing(`
local held, problem = read('GET', KEYS[1])
if problem then return problem end
local time = redis.call('TIME')
local version = time[1] * 1000000 + time[2]
if held then version = math.max(version, held.version + 1) end
version = string.format('%.0f', version)
if held and held.live then
  if held.version ~= ARGV[4] then return {'conflict', held.value} end
elseif ARGV[4] ~= '' then
  gone(held)
  return {'gone'}
end
local lives = tonumber(ARGV[6]) > 0
local unheard = tell(lives and 's' .. version or 'd')
if unheard then return unheard end
if lives then
  redis.call('SET', KEYS[1], ARGV[5] .. '|' .. version .. '|' .. ARGV[7], 'PX', ARGV[6])
else
  redis.call('DEL', KEYS[1])
end
return version
`)

/** Tells nobody. Further ARGV: expiresAt in 13 digits, time to live. Answers 1, 0 for gone, or {'unreadable'}. */
export const TOUCH: WritingScript = writing(`
local held, problem = read('GETRANGE', KEYS[1], 0, 47)
if problem then return problem end
if not held or not held.live then
  gone(held)
  return 0
end
if tonumber(ARGV[4]) > held.expiresAt then
  redis.call('SETRANGE', KEYS[1], 0, ARGV[4])
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
else
  redis.call('SETRANGE', KEYS[1], 0, '')
end
return 1
`)

/**
 * Further ARGV: expected version or '' for any, which is also what cannot be read. Answers 1, 0 if there was none,
 * {'conflict', value}, or {'unreadable'}.
 */
export const DELETE: WritingScript = writing(`
local held, problem = read('GETRANGE', KEYS[1], 0, 47)
local forced = problem == UNREADABLE and ARGV[4] == ''
if problem and not forced then return problem end
if held and held.live and ARGV[4] ~= '' and held.version ~= ARGV[4] then
  return {'conflict', redis.call('GET', KEYS[1])}
end
local unheard = tell('d')
if unheard then return unheard end
redis.call('DEL', KEYS[1])
return (forced or held and held.live) and 1 or 0
`)

/** How long an epoch is kept: each heartbeat renews it, so it only has to outlive a pause between two processes. */
export const EPOCH_KEPT: Milliseconds = 24 * 60 * 60 * 1000

// Writes, so that a replica fails it, and on a Cluster also a server that has lost sight of most of the others.
const EPOCH = `
local epoch = redis.call('GET', KEYS[1])
if epoch then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
else
  epoch = ARGV[1]
  redis.call('SET', KEYS[1], epoch, 'PX', ARGV[2])
end
`

/**
 * The heartbeat. KEYS: the epoch key. ARGV: an epoch to begin with, how long to keep it, a channel or '', a message.
 * Answers the epoch.
 */
export const BEAT: Script = plain(`${EPOCH}
if ARGV[3] ~= '' then redis.call('PUBLISH', ARGV[3], ARGV[4] .. ' ' .. epoch) end
return epoch
`)

// What a server of a Cluster says of itself: its line of CLUSTER NODES.
const SELF = `
local self = string.match(redis.call('CLUSTER', 'NODES'), '[^\\n]*myself[^\\n]*')
`

/** The heartbeat on a Cluster. KEYS and ARGV as above, without a channel. Answers what the server says of itself, and the epoch. */
export const BEAT_HERE: Script = plain(`${SELF}${EPOCH}
return {self, epoch}
`)

/** What the server says of itself that has the key. KEYS: any key. */
export const WHO_HAS: Script = plain(`${SELF}
return self
`)

/** Runs a script in one round trip; a server that has lost it is sent the whole text once. */
export function runScript(
  client: Commands,
  { sha, lua }: Script,
  keys: readonly string[],
  args: readonly (string | number)[],
): Promise<unknown> {
  return client.evalsha(sha, keys.length, ...keys, ...args).catch((error: unknown) => {
    // The one error after which repeating is safe: it says that nothing ran.
    if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
    return client.eval(lua, keys.length, ...keys, ...args)
  })
}

function writing(lua: string): WritingScript {
  return {
    publishing: plain(COMMON + PUBLISH + lua),
    publishingHere: plain(COMMON + PUBLISH_HERE + lua),
    forgetting: plain(COMMON + FORGET + lua),
  }
}

/** A script that reads no records. */
export function plain(lua: string): Script {
  return { lua, sha: createHash('sha1').update(lua).digest('hex') }
}
