-- What waits, everywhere in the product, as PostgreSQL knows it. Counts stop at a cap ($1), so that a scrape costs the same however
-- long a queue is; how long the oldest has waited is exact.

-- name: webhooks
-- Deliveries of providers not processed yet: how many, and since when the first waits.
SELECT (SELECT count(*) FROM (SELECT FROM webhooks WHERE processed_at IS NULL LIMIT $1) w) AS waiting,
       (SELECT extract(epoch FROM now() - received_at)::float8 FROM webhooks WHERE processed_at IS NULL
        ORDER BY webhook_id LIMIT 1) AS seconds;

-- name: fans
-- Fans whose fold is due.
SELECT (SELECT count(*) FROM (SELECT FROM fan_queue WHERE due_at <= now() LIMIT $1) f) AS waiting,
       (SELECT extract(epoch FROM now() - min(due_at))::float8 FROM fan_queue WHERE due_at <= now()) AS seconds;

-- name: jobs
-- Account jobs: failing in a row, and how late the latest one is that nobody has taken.
SELECT job, count(*) FILTER (WHERE failures > 0) AS failing,
       coalesce(max(extract(epoch FROM now() - greatest(due_at, coalesce(blocked_until, due_at))))
                FILTER (WHERE due_at <= now() AND coalesce(blocked_until, due_at) <= now()
                        AND (lease_until IS NULL OR lease_until < now())), 0)::float8 AS seconds
FROM account_jobs GROUP BY job;

-- name: sessions
-- Accounts by the state of the creator's session at the provider.
SELECT session_state AS state, count(*) AS accounts FROM accounts GROUP BY session_state;

-- name: destinations
-- Destinations by kind and state, and how many have their breaker open.
SELECT kind, state, count(*) AS destinations, count(*) FILTER (WHERE breaker_until > now()) AS open,
       count(*) FILTER (WHERE failing_since IS NOT NULL) AS failing
FROM destinations WHERE state <> 'deleted' GROUP BY kind, state;

-- name: deliveries
-- Deliveries waiting and dead by kind, and how late the most overdue is. Counted along the partial indexes, per destination.
SELECT d.kind, coalesce(sum(waiting.count), 0)::bigint AS waiting, coalesce(sum(dead.count), 0)::bigint AS dead,
       greatest(0, coalesce(max(extract(epoch FROM now() - late.due_at)), 0))::float8 AS seconds
FROM destinations d
CROSS JOIN LATERAL (SELECT count(*) FROM (
    SELECT FROM deliveries w WHERE w.destination_id = d.destination_id AND w.state = 'waiting' LIMIT $1) w) waiting
CROSS JOIN LATERAL (SELECT count(*) FROM (
    SELECT FROM deliveries w WHERE w.destination_id = d.destination_id AND w.state = 'dead' LIMIT $1) w) dead
LEFT JOIN LATERAL (
    SELECT w.due_at FROM deliveries w
    WHERE w.destination_id = d.destination_id AND w.state = 'waiting' AND w.due_at <= now() AND d.state = 'active'
    ORDER BY w.due_at LIMIT 1) late ON true
WHERE d.state <> 'deleted' GROUP BY d.kind;

-- name: pools
-- The pools that active smart links draw from, a thousand at most.
SELECT DISTINCT s.account_id, a.shard, s.offer
FROM smart_links s JOIN accounts a USING (account_id) WHERE s.state = 'active'
ORDER BY s.account_id, s.offer LIMIT 1000;
