-- A team's own webhooks: what their deliveries came to. The caller has found the webhook to be the team's.

-- name: deliveries
-- One row per attempt, newest first.
SELECT a.attempt_id, a.event_id, a.attempt, a.started_at, a.status_code, a.outcome, a.verdict, e.event_type, e.occurred_at, e.facts
FROM attempts a LEFT JOIN delivery_events e ON e.event_id = a.event_id
WHERE a.destination_id = $1 AND ($2::timestamptz IS NULL OR a.started_at >= $2) AND ($3::timestamptz IS NULL OR a.started_at < $3)
  AND ($4::text IS NULL OR e.event_type = $4) AND ($5::boolean IS NULL OR (a.outcome = 'delivered') = $5)
  AND ($6::bigint IS NULL OR a.attempt_id = $6)
ORDER BY a.started_at DESC, a.attempt_id DESC LIMIT $7::bigint OFFSET $8::bigint;

-- name: send_again
-- One delivery back into the queue, whatever came of it; one that waits already is sent at once.
UPDATE deliveries d SET state = 'waiting', due_at = now(), finished_at = NULL, uncharged = d.attempts, ambiguous_at = NULL, verdict = 'sent again by hand'
FROM destinations t
WHERE d.event_id = $1 AND d.destination_id = $2 AND d.lease_until IS NULL AND t.destination_id = d.destination_id AND t.state = 'active'
RETURNING d.event_id;

-- name: forget_secret
-- From now on unsigned.
UPDATE destinations SET secrets_sealed = NULL WHERE team_id = $1 AND destination_id = $2;
