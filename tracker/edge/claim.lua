-- Clicks, each atomically: known visitor or new, its inventory link, its entry in the click log. One call carries the claims
-- that arrived together on one shard: a call costs as much as half a claim.
--
-- keys  1 click log, then four per claim: 1 pool  2 visitor's record  3 fingerprint's record  4 the same under yesterday's
--       key (or key 3 again)
-- args  three per claim: 1 now, ms (13) .. visit id (26) .. visitor id (26) .. 'c' known by cookie or 'n' new .. click-id
--       digests (4 x 8) .. end of a lease taken now, ms (13) .. window, ms   2 reserve member or ''   3 msgpack Visit
-- reply per claim: its outcome, the very string that stands in the log (tracker/clicklog.py): kind .. known .. lease ..
--       click (26) .. visitor (26) .. member, or '!' .. why it failed
--
-- A record is click (26) .. visitor (26) .. lease letter .. latest visit, ms (13) .. click-id digests (32) .. member.
-- It lives one window from the latest visit. Where a visitor's record and a fingerprint's record tell of the same visitor,
-- the later one is right: a repeat without a cookie can refresh only the fingerprint's.
--
-- Each redis.call, each argument of one and each new string costs a fan's time: numbers travel as the text they came in.

local SAME_PERSON = 30000 -- a fingerprint alone is believed this long whatever the click ids say

local function last_visit(record)
  return tonumber(string.sub(record, 54, 66))
end

local function click_ids_differ(mine, theirs)
  for at = 1, 25, 8 do
    local a, b = string.sub(mine, at, at + 7), string.sub(theirs, at, at + 7)
    if a ~= b and a ~= '--------' and b ~= '--------' then
      return true
    end
  end
  return false
end

local function take(pool, now, lease_end, reserve)
  local best = redis.call('ZRANGE', pool, 0, 0, 'WITHSCORES')
  local member = best[1]
  if member then
    local held_until = tonumber(best[2])
    if held_until < tonumber(lease_end) then
      redis.call('ZADD', pool, lease_end, member)
    end
    return member, held_until <= tonumber(now) and 'e' or 's'
  end
  if reserve ~= '' then
    return reserve, 'r'
  end
  return '', 'n'
end

local function hold(pool, member, lease, now, lease_end, reserve)
  if lease == 'e' or lease == 's' then
    local held_until = redis.call('ZSCORE', pool, member)
    if held_until then
      if tonumber(held_until) < tonumber(lease_end) then
        redis.call('ZADD', pool, lease_end, member)
      end
      return member, lease
    end
  elseif lease == 'r' and member == reserve then
    return member, lease
  end
  return take(pool, now, lease_end, reserve)
end

local function claim(clock, log, pool, by_visitor, by_fingerprint, by_yesterday, head, reserve, request)
  local now, visitor, known, lease_end = string.sub(head, 1, 13), string.sub(head, 40, 65), string.sub(head, 66, 66), string.sub(head, 99, 111)
  local record

  local alias = redis.call('GET', by_fingerprint)
  if not alias and by_yesterday ~= by_fingerprint then
    alias = redis.call('GET', by_yesterday)
  end
  if known == 'c' then
    record = redis.call('GET', by_visitor)
    if alias and string.sub(alias, 27, 52) == visitor and not (record and last_visit(record) >= last_visit(alias)) then
      record = alias
    end
  elseif alias and (tonumber(now) - last_visit(alias) <= SAME_PERSON
      or not click_ids_differ(string.sub(head, 67, 98), string.sub(alias, 67, 98))) then
    record = alias
    visitor = string.sub(alias, 27, 52)
    known = 'f'
  end

  local kind, click, member, lease, latest, click_ids
  if record then
    kind, click, click_ids = 'd', string.sub(record, 1, 26), string.sub(record, 67, 98)
    latest = last_visit(record) > tonumber(now) and string.sub(record, 54, 66) or now
    member, lease = hold(pool, string.sub(record, 99), string.sub(record, 53, 53), now, lease_end, reserve)
  else
    kind, click, click_ids, latest = 'c', string.sub(head, 14, 39), string.sub(head, 67, 98), now
    member, lease = take(pool, now, lease_end, reserve)
  end

  local remembered = click .. visitor .. lease .. latest .. click_ids .. member
  local until_ms = clock + tonumber(string.sub(head, 112)) -- PX would be rewritten to PXAT for the append-only file
  if known ~= 'f' then
    redis.call('SET', by_visitor, remembered, 'PXAT', until_ms)
  end
  redis.call('SET', by_fingerprint, remembered, 'PXAT', until_ms)
  local outcome = kind .. known .. lease .. click .. visitor .. member
  redis.call('XADD', log, '*', 'r', request, 'o', outcome)
  return outcome
end

local function claims(keys, args)
  local replies = {}
  local log, key, arg = keys[1], 2, 1
  local time = redis.call('TIME')
  local clock = time[1] * 1000 + math.floor(time[2] / 1000)
  for number = 1, (#keys - 1) / 4 do
    -- One claim that fails (a pool of the wrong type) must not take the others with it.
    local done, reply = pcall(claim, clock, log, keys[key], keys[key + 1], keys[key + 2], keys[key + 3],
      args[arg], args[arg + 1], args[arg + 2])
    replies[number] = done and reply or '!' .. tostring(type(reply) == 'table' and reply.err or reply)
    key, arg = key + 4, arg + 3
  end
  return replies
end

-- A few free links on loan to an edge, for when it cannot ask: at most an eighth of those that are free.
-- keys  1 pool      args  1 now, ms  2 end of the loan, ms  3 how many      reply  members
local function stash(keys, args)
  local free = redis.call('ZCOUNT', keys[1], '-inf', args[1])
  local count = math.min(tonumber(args[3]), math.floor(free / 8))
  if count <= 0 then
    return {}
  end
  local members = redis.call('ZRANGE', keys[1], '-inf', args[1], 'BYSCORE', 'LIMIT', 0, count)
  for _, member in ipairs(members) do
    redis.call('ZADD', keys[1], args[2], member)
  end
  return members
end

redis.register_function('__FUNCTION__', claims)
redis.register_function('__FUNCTION___stash', stash)
