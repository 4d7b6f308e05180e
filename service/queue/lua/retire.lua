-- Remove consumers that hold nothing: this one at its end, and those of workers long gone.
-- One script, because removing a consumer that holds entries would lose them.
-- KEYS  streams;  ARGV  group, own consumer, idle_ms after which another counts as gone
for _, stream in ipairs(KEYS) do
  local found = redis.pcall('XINFO', 'CONSUMERS', stream, ARGV[1])
  if not found.err then
    for _, flat in ipairs(found) do
      local c = {}
      for i = 1, #flat, 2 do c[flat[i]] = flat[i + 1] end
      if c.pending == 0 and (c.name == ARGV[2] or c.idle > tonumber(ARGV[3])) then
        redis.call('XGROUP', 'DELCONSUMER', stream, ARGV[1], c.name)
      end
    end
  end
end
