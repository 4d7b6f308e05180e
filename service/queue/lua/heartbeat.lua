-- KEYS  worker key, set of worker ids;  ARGV  payload, ttl_ms, worker id
-- DEL stands first so that a full memory does not make a living worker look dead.
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('SADD', KEYS[2], ARGV[3])
