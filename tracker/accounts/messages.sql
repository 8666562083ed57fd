-- Messages: which fans' chats are to be read, and up to when they were.

-- name: bound
-- Fans with a credit who were seen doing something within $3 days and whose chat was not read since $2. Who was never read, or longest ago, comes
-- first, so that nobody is passed over for good; among equals the liveliest.
-- $4: of these fans only (NULL: of all).
SELECT f.fan_id, f.messages_read_at, b.since
FROM (
    SELECT fan_id, min(valid_from) AS since FROM bindings WHERE account_id = $1 AND retracted_at IS NULL GROUP BY fan_id
) b
JOIN fans f ON f.account_id = $1 AND f.fan_id = b.fan_id
CROSS JOIN LATERAL (
    SELECT max(e.at) AS seen FROM platform_events e WHERE e.account_id = $1 AND e.fan_id = b.fan_id
) last
WHERE coalesce(f.messages_read_at, '-infinity') < $2 AND ($4::text[] IS NULL OR f.fan_id = ANY($4::text[]))
  AND ($4::text[] IS NOT NULL OR last.seen > now() - make_interval(days => $3))
ORDER BY f.messages_read_at NULLS FIRST, last.seen DESC, f.fan_id LIMIT $5;

-- name: read
-- The fan's chat is read up to $3.
UPDATE fans SET messages_read_at = $3 WHERE account_id = $1 AND fan_id = $2;
