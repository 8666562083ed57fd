-- Facts about fans, as platform events: stored once whoever tells them, and their fans woken.

-- name: store_events
-- Keep what is new; return it, so that only new facts wake fans. Sorted by the caller: two writers meet in one order.
INSERT INTO platform_events (account_id, event_key, kind, fan_id, at, precision_seconds, inventory_link_id, detail, source)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::smallint[], $7::bigint[], $8::jsonb[], $9::text[])
ON CONFLICT (account_id, event_key) DO NOTHING
RETURNING account_id, fan_id, event_key;

-- name: store_fans
-- Fans with the latest name anybody told; an empty one never overwrites.
INSERT INTO fans (account_id, fan_id, username, name)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
ON CONFLICT (account_id, fan_id) DO UPDATE
SET username = coalesce(nullif(excluded.username, ''), fans.username), name = coalesce(nullif(excluded.name, ''), fans.name)
WHERE (excluded.username <> '' AND excluded.username <> fans.username) OR (excluded.name <> '' AND excluded.name <> fans.name);

-- name: wake_fans
-- Their folds are due now; a wake during a run raises the generation.
INSERT INTO fan_queue (account_id, fan_id, due_at)
SELECT account_id, fan_id, now() FROM unnest($1::text[], $2::text[]) AS t (account_id, fan_id)
ON CONFLICT (account_id, fan_id) DO UPDATE SET due_at = least(fan_queue.due_at, now()), generation = fan_queue.generation + 1;
