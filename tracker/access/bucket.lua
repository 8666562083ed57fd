-- Token bucket: take ARGV[3] tokens from KEYS[1], which holds at most ARGV[1] and refills ARGV[2] a second (server time).
-- Returns {1 if taken, whole tokens left, milliseconds until the taking would succeed}.
local capacity, rate, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local state = redis.call('HMGET', KEYS[1], 'left', 'at')
local left = tonumber(state[1]) or capacity
local at = tonumber(state[2]) or now
left = math.min(capacity, left + math.max(0, now - at) * rate / 1000)
local taken, wait = 0, 0
if left >= cost then
  left, taken = math.min(capacity, left - cost), 1  -- a negative cost gives back
else
  wait = math.ceil((cost - left) / rate * 1000)
end
if taken == 1 then
  redis.call('HSET', KEYS[1], 'left', string.format('%.6f', left), 'at', string.format('%.0f', math.max(now, at)))
  redis.call('PEXPIRE', KEYS[1], math.ceil((capacity - left) / rate * 1000) + 1000)
end
return {taken, math.floor(left), wait}
