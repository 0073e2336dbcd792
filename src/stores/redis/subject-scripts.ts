import { plain, type Script } from './scripts.ts'

// All of them have the KEYS: a subject's sorted set, its shelf, and whatever is said below. All instants are those of the
// server's own clock, because the processes' clocks need not agree, and are only ever a reason to look.

const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`

/**
 * ARGV: the subject, the key to note, the instant at which its record can no longer live, the grace.
 *
 * Notes the key, under a higher instant than before. Answers the subjects to look through: this one, if its oldest note
 * is older than the grace, and one of the shelf that is due.
 */
export const NOTE: Script = plain(`${NOW}
local before = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[2]) or 0)
redis.call('ZADD', KEYS[1], string.format('%.0f', math.max(now, before + 1)), ARGV[2])
redis.call('ZADD', KEYS[2], 'GT', string.format('%.0f', math.max(now, tonumber(ARGV[3])) + ARGV[4]), ARGV[1])
local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now), 'LIMIT', 0, 1)
local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if tonumber(oldest[2]) + ARGV[4] <= now then table.insert(due, 1, ARGV[1]) end
return due
`)

/** ARGV: the subject, the key. Takes the note back, and the subject from its shelf if it was the last one. */
export const FORGET: Script = plain(`
redis.call('ZREM', KEYS[1], ARGV[2])
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('ZREM', KEYS[2], ARGV[1]) end
return 1
`)

/**
 * KEYS: the records of the doubted notes, or none of them if they lie on other servers. ARGV: the subject, the grace;
 * then for each doubted note its key, the instant under which it was found, and whether its record was there, which
 * counts only if the record is not among the KEYS.
 *
 * Removes the notes whose records are away and which nobody has added again since; those whose records are there go to
 * the end. Then the subject leaves its shelf if nothing is left of it, stays due if it has more old notes, and is else
 * due again in a day.
 */
export const SETTLE: Script = plain(`${NOW}
for at = 3, #ARGV, 3 do
  local key, found = ARGV[at], tonumber(ARGV[at + 1])
  local score = tonumber(redis.call('ZSCORE', KEYS[1], key) or -1)
  if score == found and score + ARGV[2] <= now then
    local record = KEYS[2 + at / 3]
    local isThere = record and redis.call('EXISTS', record) == 1 or not record and ARGV[at + 2] == '1'
    if isThere then
      redis.call('ZADD', KEYS[1], string.format('%.0f', now), key)
    else
      redis.call('ZREM', KEYS[1], key)
    end
  end
end
local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if not oldest[2] then
  redis.call('ZREM', KEYS[2], ARGV[1])
elseif tonumber(oldest[2]) + ARGV[2] > now then
  redis.call('ZADD', KEYS[2], 'GT', string.format('%.0f', now + 86400000), ARGV[1])
end
return 1
`)
