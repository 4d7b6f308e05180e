-- Admit a job whole or not at all: job hash, blobs and one stream entry for each item.
-- KEYS  stream, job, then one blob key for each item (unused for a text)
-- ARGV  most entries, deadline_ms, ttl_ms, model digest, job id, then for each item: kind, ref, shape, canvas, text
-- Gives {'ok' | 'dup' | 'full', depth}. 'dup': the same call again, after its answer was lost.
local stream, job = KEYS[1], KEYS[2]
local depth = redis.call('XLEN', stream)
if redis.call('EXISTS', job) == 1 then return {'dup', depth} end
local n = #KEYS - 2
-- Completion deletes its entry, so XLEN = waiting + running. Never MAXLEN: it drops undelivered entries.
if depth + n > tonumber(ARGV[1]) then return {'full', depth} end
redis.call('HSET', job, 'remaining', n, 'n', n, 'deadline_ms', ARGV[2])
redis.call('PEXPIRE', job, ARGV[3])
for i = 1, n do
  local at = 6 + (i - 1) * 5
  local kind, ref, shape = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local canvas, text = ARGV[at + 3], ARGV[at + 4]
  if canvas ~= '' then redis.call('SET', KEYS[i + 2], canvas, 'PX', ARGV[3]) end
  redis.call('XADD', stream, '*', 'job', ARGV[5], 'index', i - 1, 'kind', kind, 'ref', ref,
    'shape', shape, 'model', ARGV[4], 'deadline_ms', ARGV[2], 'text', text)
end
return {'ok', depth + n}
