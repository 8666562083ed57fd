-- name: enqueue
-- Events and their deliveries, once per event and destination. Only events somebody wants are stored. A disabled destination's
-- deliveries are written dead: visible and replayable, without a queue that grows for ever.
WITH incoming AS (
    SELECT DISTINCT ON (event_id) *
    FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[])
        AS i (event_id, event_type, occurred_at, team_id, smart_link_id, facts)
), wanted AS (
    SELECT i.event_id, d.destination_id, d.state AS destination_state
    FROM incoming i
    JOIN destinations d ON d.team_id = i.team_id AND d.state <> 'deleted' AND i.event_type = ANY (d.event_types)
    WHERE d.scope = 'global' OR EXISTS (
        SELECT FROM destination_links l WHERE l.destination_id = d.destination_id AND l.smart_link_id = i.smart_link_id
    )
), dated AS (
    -- An event told again on a later day stays on its first day, so that the keys below recognise it.
    SELECT i.*, coalesce((SELECT min(e.day) FROM delivery_events e WHERE e.event_id = i.event_id), (now() AT TIME ZONE 'UTC')::date) AS day
    FROM incoming i
    WHERE EXISTS (SELECT FROM wanted w WHERE w.event_id = i.event_id)
), stored AS (
    INSERT INTO delivery_events (event_id, day, event_type, occurred_at, facts)
    SELECT event_id, day, event_type, occurred_at, facts::jsonb FROM dated ORDER BY event_id
    ON CONFLICT DO NOTHING
)
INSERT INTO deliveries (event_id, destination_id, day, state, finished_at, verdict)
SELECT w.event_id, w.destination_id, dated.day,
       CASE WHEN w.destination_state = 'disabled' THEN 'dead' ELSE 'waiting' END,
       CASE WHEN w.destination_state = 'disabled' THEN now() END,
       CASE WHEN w.destination_state = 'disabled' THEN 'not sent: the destination was disabled when this happened' END
FROM wanted w JOIN dated USING (event_id)
ORDER BY w.event_id, w.destination_id
ON CONFLICT DO NOTHING;

-- name: abandon
-- What still waits for a deleted destination will never be sent.
UPDATE deliveries SET state = 'dead', finished_at = now(), verdict = 'not sent: the destination was deleted'
WHERE destination_id = $1 AND state = 'waiting';

-- name: replay_one
-- One dead delivery back into the queue. The schedule starts again; attempt numbers go on.
UPDATE deliveries AS d
SET state = 'waiting', due_at = now(), finished_at = NULL, uncharged = d.attempts, ambiguous_at = NULL, verdict = 'replay asked for'
FROM destinations
WHERE d.event_id = $1 AND d.destination_id = $2 AND d.state = 'dead'
  AND destinations.destination_id = d.destination_id AND destinations.state IN ('active', 'paused')
RETURNING d.event_id;

-- name: replay_range
-- A destination's dead deliveries of a time range (by when they were written) back into the queue, oldest first; what
-- died again since the replay began ($4) is left alone.
WITH picked AS (
    SELECT d.event_id, d.destination_id, d.day
    FROM deliveries d JOIN destinations USING (destination_id)
    WHERE d.destination_id = $1 AND d.state = 'dead' AND destinations.state IN ('active', 'paused')
      AND d.created_at >= $2 AND d.created_at < $3 AND d.finished_at < $4
    ORDER BY d.created_at
    LIMIT $5
    FOR UPDATE OF d SKIP LOCKED
)
UPDATE deliveries d
SET state = 'waiting', due_at = now(), finished_at = NULL, uncharged = d.attempts, ambiguous_at = NULL, verdict = 'replay asked for'
FROM picked p
WHERE d.event_id = p.event_id AND d.destination_id = p.destination_id AND d.day = p.day;

-- name: destination_state
-- Whether a destination takes replays.
SELECT state, state_reason, clock_timestamp() AS asked_at FROM destinations WHERE destination_id = $1;

-- name: replay_ages
-- How many dead deliveries a replay would send again, and how many of their events are older than platforms deduplicate.
SELECT count(*) AS dead, count(*) FILTER (WHERE e.occurred_at < now() - interval '48 hours') AS beyond_dedup
FROM deliveries d JOIN delivery_events e USING (event_id, day)
WHERE d.destination_id = $1 AND d.state = 'dead' AND d.created_at >= $2 AND d.created_at < $3;
