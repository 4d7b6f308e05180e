-- The caller has left: its blobs and its job go. Entries stay until a worker meets and drops them,
-- since deleting undelivered entries makes the lag of the group unknown.
-- KEYS  job;  ARGV  prefix of the job's blob keys
local n = redis.call('HGET', KEYS[1], 'n')
if not n then return 0 end
for index = 0, tonumber(n) - 1 do redis.call('DEL', ARGV[1] .. index) end
return redis.call('DEL', KEYS[1])
