-- name: health
-- The team's destinations with what was tried lately, what waits and what failed last. `failures` are those since the last
-- success, and `failing_from` the first of them; durations are those of the newest 1,000 attempts of a day.
SELECT d.destination_id, d.kind, d.name, d.config ->> 'url' AS url, d.state, d.state_reason, d.failing_since, d.breaker_until,
       tried.*, spans.p50, spans.p95, waiting.backlog, waiting.oldest_seconds, failing.failures, failing.failing_from, worst.verdict AS last_failure,
       (SELECT count(*) FROM deliveries x WHERE x.destination_id = d.destination_id AND x.state = 'dead') AS dead
FROM destinations d
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE a.outcome = 'delivered' AND a.started_at > now() - interval '1 hour') AS delivered_hour,
           count(*) FILTER (WHERE a.outcome NOT IN ('delivered', 'skipped') AND a.started_at > now() - interval '1 hour') AS failed_hour,
           count(*) FILTER (WHERE a.outcome = 'delivered') AS delivered_day,
           count(*) FILTER (WHERE a.outcome NOT IN ('delivered', 'skipped')) AS failed_day,
           max(a.started_at) FILTER (WHERE a.outcome = 'delivered') AS last_delivered_at
    FROM attempts a WHERE a.destination_id = d.destination_id AND a.started_at > now() - interval '24 hours'
) tried
CROSS JOIN LATERAL (
    SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY n.duration_ms) AS p50, percentile_disc(0.95) WITHIN GROUP (ORDER BY n.duration_ms) AS p95
    FROM (SELECT a.duration_ms FROM attempts a
          WHERE a.destination_id = d.destination_id AND a.started_at > now() - interval '24 hours' AND a.outcome <> 'skipped'
          ORDER BY a.started_at DESC LIMIT 1000) n
) spans
CROSS JOIN LATERAL (
    SELECT count(*) AS backlog, extract(epoch FROM now() - min(w.created_at))::float8 AS oldest_seconds
    FROM deliveries w WHERE w.destination_id = d.destination_id AND w.state = 'waiting'
) waiting
CROSS JOIN LATERAL (
    SELECT count(*) AS failures, min(a.started_at) AS failing_from
    FROM attempts a
    WHERE a.destination_id = d.destination_id AND a.outcome NOT IN ('delivered', 'skipped')
      AND a.started_at > greatest(tried.last_delivered_at, now() - interval '24 hours')
) failing
LEFT JOIN LATERAL (
    SELECT a.verdict FROM attempts a
    WHERE a.destination_id = d.destination_id AND a.started_at > now() - interval '24 hours' AND a.outcome NOT IN ('delivered', 'skipped')
    ORDER BY a.started_at DESC LIMIT 1
) worst ON true
WHERE d.team_id = $1 AND d.state <> 'deleted'
ORDER BY d.created_at DESC, d.destination_id DESC LIMIT $2 OFFSET $3;
