-- The recorder's queries: where each shard's log is recorded to, and one batch of it with its counters.
-- Long lists of ids come as one text with commas: encoding an array costs Python more than everything else of a lookup.

-- name: begin_shard
-- A shard seen for the first time has a position like any other.
INSERT INTO stream_positions (shard, replication_id, entry_id) VALUES ($1, '', '0-0') ON CONFLICT (shard) DO NOTHING;

-- name: position
-- How far a shard is recorded, and under which primary.
SELECT replication_id, entry_id FROM stream_positions WHERE shard = $1;

-- name: advance
-- First statement of a batch: moves the position and locks it. No row: another recorder has moved it, the batch is not ours.
-- Lookups of a batch go by index, id by id: a new partition has no statistics that would say so. A recorder that hangs in
-- the middle must not keep its successor from the position for ever.
UPDATE stream_positions SET replication_id = $4, entry_id = $5, updated_at = now()
WHERE shard = $1 AND replication_id = $2 AND entry_id = $3
RETURNING set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
          set_config('enable_mergejoin', 'off', true), set_config('idle_in_transaction_session_timeout', '30s', true);

-- name: go_by_index
-- The same for a transaction that only wakes.
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true);

-- name: watched_shards
-- The shards accounts live on.
SELECT DISTINCT shard FROM accounts;

-- name: known_clicks
-- Which of these ids are stored clicks. $2: the least of them, which names the partitions to look into.
SELECT click_id, account_id, smart_link_id, clicked_at, last_visit_at, gross_clicks, visitor, visitor_by,
       inventory_link_id, lease, spilled, is_bot
FROM clicks WHERE click_id = ANY(string_to_array($1, ',')) AND click_id >= $2;

-- name: known_visits
-- Which of these ids are stored later visits.
SELECT visit_id, click_id, inventory_link_id FROM visits WHERE visit_id = ANY(string_to_array($1, ',')) AND visit_id >= $2;

-- name: early_visits
-- Visits stored before the click they belong to. $2: a prefix of ids no visit of these clicks is below.
SELECT click_id, count(*)::int AS visits, max(visited_at) AS last_visit_at
FROM visits WHERE click_id = ANY(string_to_array($1, ',')) AND visit_id >= $2 GROUP BY click_id;

-- name: remove_demoted
-- Clicks that turned out to be later visits of another click.
DELETE FROM clicks WHERE click_id = ANY($1::text[]);

-- name: repoint_visits
-- Their visits follow the click they really belong to.
UPDATE visits v SET click_id = d.click_id
FROM unnest($1::text[], $2::text[]) AS d (demoted_id, click_id) WHERE v.click_id = d.demoted_id;

-- name: store_prefetches
-- Refused speculative loads; the ids really new come back.
INSERT INTO prefetches (visit_id, smart_link_id)
SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT (visit_id) DO NOTHING RETURNING visit_id;

-- name: count_visits
-- Later visits of stored clicks.
UPDATE clicks c SET gross_clicks = c.gross_clicks + v.visits, last_visit_at = greatest(c.last_visit_at, v.last_visit_at)
FROM unnest($1::text[], $2::int[], $3::timestamptz[]) AS v (click_id, visits, last_visit_at) WHERE c.click_id = v.click_id;

-- name: regive_clicks
-- What the visitor was really given, where the claim timed out and landed all the same.
UPDATE clicks c SET inventory_link_id = g.inventory_link_id, lease = g.lease, visitor = g.visitor, visitor_by = g.visitor_by,
       spilled = true
FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[])
  AS g (click_id, inventory_link_id, lease, visitor, visitor_by) WHERE c.click_id = g.click_id;

-- name: relink_visits
-- The same of later visits.
UPDATE visits v SET inventory_link_id = g.inventory_link_id
FROM unnest($1::text[], $2::bigint[]) AS g (visit_id, inventory_link_id) WHERE v.visit_id = g.visit_id;

-- name: count_hours
-- The hourly counters of what was really stored.
INSERT INTO click_hours AS h (smart_link_id, hour, clicks, gross_clicks, bots, prefetches)
SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
ON CONFLICT (smart_link_id, hour) DO UPDATE SET clicks = h.clicks + excluded.clicks,
    gross_clicks = h.gross_clicks + excluded.gross_clicks, bots = h.bots + excluded.bots,
    prefetches = h.prefetches + excluded.prefetches;

-- name: note_rows
-- New rows, for the rollup job (tracker/reports): it counts them outside of this transaction, once.
INSERT INTO report_notes (click_ids, visit_ids, prefetch_links, prefetch_times) VALUES ($1, $2, $3, $4);

-- name: mark_changed
-- Hours in which these clicks, their visits or their conversions count: something about them is no longer as it was counted.
INSERT INTO report_marks (kind, smart_link_id, hour)
SELECT DISTINCT 'clicks', c.smart_link_id, date_trunc('hour', x.at, 'UTC')
FROM clicks c CROSS JOIN LATERAL (SELECT c.clicked_at AS at UNION ALL SELECT v.visited_at FROM visits v WHERE v.click_id = c.click_id) x
WHERE c.click_id = ANY($1::text[])
UNION ALL
SELECT DISTINCT 'sales', n.smart_link_id, date_trunc('hour', n.conversion_at, 'UTC') FROM conversions n WHERE n.click_id = ANY($1::text[]);

-- name: store_rejects
-- Entries that were not understood, once each, however often they are read.
INSERT INTO log_rejects (shard, entry_id, reason, body)
SELECT $1, n.entry_id, n.reason, n.body FROM unnest($2::text[], $3::text[], $4::bytea[]) AS n (entry_id, reason, body)
WHERE NOT EXISTS (SELECT 1 FROM log_rejects r WHERE r.shard = $1 AND r.entry_id = n.entry_id AND r.body = n.body);

-- name: prune_rejects
-- Only the newest are kept, so that a stream of nonsense cannot fill the disk.
DELETE FROM log_rejects WHERE reject_id <= (SELECT max(reject_id) FROM log_rejects) - $1::bigint;

-- name: wake_fans
-- Runs after the clicks are committed, so that a fold which did not see them cannot be missed: the platform events that
-- made it run were committed before it began. Wakes fans of visitors who are back by cookie (bound to one of their clicks,
-- or with an event on the link of one), fans with an event on a link after it was given, and fans bound to changed clicks.
WITH visitor_clicks AS (
    SELECT w.account_id, c.click_id, c.inventory_link_id, c.clicked_at
    FROM unnest($1::text[], $2::text[]) AS w (account_id, visitor)
    CROSS JOIN LATERAL (
        SELECT k.click_id, k.inventory_link_id, k.clicked_at FROM clicks k
        WHERE k.account_id = w.account_id AND k.visitor = w.visitor AND NOT k.is_bot
        ORDER BY k.click_id DESC LIMIT 1000  -- nobody clicks more often, and a robot with one cookie must not cost more
    ) c
), woken AS (
    SELECT b.account_id, b.fan_id FROM visitor_clicks c
    JOIN bindings b ON b.click_id = c.click_id AND b.retracted_at IS NULL
    UNION
    SELECT e.account_id, e.fan_id FROM visitor_clicks c
    JOIN platform_events e ON e.inventory_link_id = c.inventory_link_id AND e.at >= c.clicked_at - interval '2 minutes'
     AND e.account_id = c.account_id
    UNION
    SELECT e.account_id, e.fan_id FROM unnest(string_to_array($3, ',')::bigint[], string_to_array($4, ',')::bigint[]) AS l (inventory_link_id, since)
    JOIN platform_events e ON e.inventory_link_id = l.inventory_link_id AND e.at >= to_timestamp(l.since / 1000.0)
    UNION
    SELECT b.account_id, b.fan_id FROM bindings b WHERE b.click_id = ANY($5::text[]) AND b.retracted_at IS NULL
)
INSERT INTO fan_queue AS q (account_id, fan_id)
SELECT account_id, fan_id FROM woken ORDER BY account_id, fan_id
ON CONFLICT (account_id, fan_id) DO UPDATE SET generation = q.generation + 1, due_at = least(q.due_at, excluded.due_at);
