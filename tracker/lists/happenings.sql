-- What has just happened in a team, as the live view asks every few seconds. Every query stops at a number of rows, whatever there is.

-- name: moment
-- The present, and up to when each shard's log is recorded (Unix ms). Asked before the rows: rows written meanwhile come again, none is left out.
SELECT now() AS at, coalesce((SELECT jsonb_object_agg(shard::text, split_part(entry_id, '-', 1)::bigint) FROM stream_positions), '{}') AS recorded;

-- name: links
-- How many smart links the team has, counted up to one more than $2.
SELECT count(*) FROM (SELECT FROM smart_links WHERE team_id = $1 LIMIT $2::bigint + 1) l;

-- name: clicks
-- Clicks since a bound of their shard ($3 shards, $4 bounds), newest first: link by link, by index.
SELECT c.click_id AS id, c.click_id, false AS again, c.clicked_at AS at, s.smart_link_id, s.name AS link, c.is_bot, c.bot_reason, c.lease, c.country, c.device_type,
       c.browser, c.os, c.ecid, c.utm_source, c.utm_campaign, c.referrer
FROM smart_links s JOIN accounts a USING (account_id)
LEFT JOIN unnest($3::smallint[], $4::text[]) AS b (shard, bound) ON b.shard = a.shard
CROSS JOIN LATERAL (
    SELECT * FROM clicks c WHERE c.smart_link_id = s.smart_link_id AND c.click_id >= coalesce(b.bound, $5) AND ($6 OR NOT c.is_bot)
    ORDER BY c.click_id DESC LIMIT $7
) c
WHERE s.team_id = $1 AND ($2::text IS NULL OR s.smart_link_id = $2)
ORDER BY c.click_id DESC LIMIT $7;

-- name: clicks_of_many
-- The same for a team with more links than are worth asking one by one: out of the newest clicks of all.
SELECT c.click_id AS id, c.click_id, false AS again, c.clicked_at AS at, s.smart_link_id, s.name AS link, c.is_bot, c.bot_reason, c.lease, c.country, c.device_type,
       c.browser, c.os, c.ecid, c.utm_source, c.utm_campaign, c.referrer
FROM (SELECT * FROM clicks WHERE click_id >= $2 ORDER BY click_id DESC LIMIT 5000) c
JOIN smart_links s USING (smart_link_id)
WHERE s.team_id = $1 AND ($3 OR NOT c.is_bot)
ORDER BY c.click_id DESC LIMIT $4;

-- name: visits
-- Repeated visits of clicks, account by account, by index.
SELECT v.visit_id AS id, v.click_id, true AS again, v.visited_at AS at, s.smart_link_id, s.name AS link, c.is_bot, c.bot_reason, c.lease, c.country, c.device_type,
       c.browser, c.os, c.ecid, c.utm_source, c.utm_campaign, c.referrer
FROM accounts a
LEFT JOIN unnest($3::smallint[], $4::text[]) AS b (shard, bound) ON b.shard = a.shard
CROSS JOIN LATERAL (
    SELECT v.visit_id, v.click_id, v.visited_at FROM visits v WHERE v.account_id = a.account_id AND v.visit_id >= coalesce(b.bound, $5)
    ORDER BY v.visit_id DESC LIMIT $6
) v
JOIN clicks c USING (click_id) JOIN smart_links s ON s.smart_link_id = c.smart_link_id
WHERE a.team_id = $1 AND ($2::text IS NULL OR s.smart_link_id = $2)
ORDER BY v.visit_id DESC LIMIT $6;

-- name: conversions
-- What was credited since, by when it was written. Of a payment's later states only that it was taken back.
SELECT c.conversion_id AS id, c.created_at AS at, c.conversion_at, c.conversion_type, c.transaction_type, c.transaction_status, c.amount_gross_cents, c.amount_net_cents,
       c.click_id, s.smart_link_id, s.name AS link, f.name AS fan_name, f.username AS fan_username, c.fan_id
FROM conversions c JOIN smart_links s USING (smart_link_id)
LEFT JOIN fans f ON f.account_id = c.account_id AND f.fan_id = c.fan_id
WHERE c.team_id = $1 AND c.created_at >= $3 AND c.retracted_at IS NULL AND ($2::text IS NULL OR c.smart_link_id = $2)
  AND (c.conversion_type <> 'transaction_status' OR c.transaction_status IN ('pending_return', 'undo'))
ORDER BY c.created_at DESC LIMIT $4;

-- name: attempts
-- What was sent since, destination by destination, by index. An attempt is written when it is over, and is told of by when it began.
SELECT x.attempt_id AS id, x.started_at AS at, x.duration_ms, x.status_code, x.outcome, x.verdict, x.attempt, x.event_id, t.destination_id, t.name, t.kind, t.config ->> 'url' AS url, e.event_type
FROM destinations t
CROSS JOIN LATERAL (
    SELECT a.* FROM attempts a WHERE a.destination_id = t.destination_id AND a.started_at >= $3
    ORDER BY a.started_at DESC LIMIT $4
) x
LEFT JOIN LATERAL (
    SELECT e.event_type FROM delivery_events e WHERE e.event_id = x.event_id AND e.day BETWEEN x.day - 3 AND x.day LIMIT 1
) e ON true
LEFT JOIN conversions c ON $2::text IS NOT NULL AND c.conversion_id = x.event_id
LEFT JOIN clicks k ON $2::text IS NOT NULL AND c.conversion_id IS NULL AND k.click_id = x.event_id
WHERE t.team_id = $1 AND ($2::text IS NULL OR coalesce(c.smart_link_id, k.smart_link_id) = $2)
ORDER BY x.started_at DESC LIMIT $4;
