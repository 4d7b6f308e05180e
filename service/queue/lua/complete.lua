-- Complete one item: however often it is delivered and completed, the job counts it once.
-- KEYS  stream, job, blob, cache
-- ARGV  group, entry id, index, result, answer for the cache or '', cache ttl_ms, channel, job id
-- Gives how many items remain, -1: the job is gone (its caller left), -2: completed before.
-- XACK stands first: once a script has written, Redis lets it finish although memory is full.
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
redis.call('DEL', KEYS[3])
if ARGV[5] ~= '' and tonumber(ARGV[6]) > 0 then
  redis.call('SET', KEYS[4], ARGV[5], 'PX', ARGV[6])
end
if redis.call('EXISTS', KEYS[2]) == 0 then return -1 end
if redis.call('HSETNX', KEYS[2], 'r:' .. ARGV[3], ARGV[4]) == 0 then return -2 end
local remaining = redis.call('HINCRBY', KEYS[2], 'remaining', -1)
if remaining == 0 then redis.call('PUBLISH', ARGV[7], ARGV[8]) end
return remaining
