-- Deliveries with what they told and how their attempts went. Every query names the team.

-- name: page
-- The newest deliveries of some destinations of the team. Per destination only as many as the page takes are looked at, by index.
SELECT d.event_id, d.destination_id, d.day, d.state, d.due_at, d.attempts, d.verdict, d.created_at, d.finished_at,
       t.kind, t.name AS destination_name, t.number AS destination_number, e.event_type, e.occurred_at, e.facts
FROM (
    SELECT x.* FROM destinations t CROSS JOIN LATERAL (
        SELECT d.* FROM deliveries d
        WHERE d.destination_id = t.destination_id
          AND ($3::text[] IS NULL OR d.state = ANY($3))
          AND ($4::timestamptz IS NULL OR d.created_at >= $4) AND ($5::timestamptz IS NULL OR d.created_at < $5)
          AND ($6::timestamptz IS NULL OR (d.created_at, d.event_id, d.destination_id) < ($6, $7, $8))
          AND ($9::text IS NULL OR d.event_id = $9)
        ORDER BY d.created_at DESC, d.event_id DESC LIMIT $10::bigint + $11::bigint
    ) x
    WHERE t.team_id = $1 AND ($2::text[] IS NULL OR t.destination_id = ANY($2)) AND ($2 IS NOT NULL OR t.state <> 'deleted')
    ORDER BY x.created_at DESC, x.event_id DESC, x.destination_id DESC LIMIT $10 OFFSET $11
) d
JOIN destinations t USING (destination_id)
LEFT JOIN delivery_events e ON e.event_id = d.event_id AND e.day = d.day
ORDER BY d.created_at DESC, d.event_id DESC, d.destination_id DESC;

-- name: one
-- The deliveries of one event, to one destination or all of the team.
SELECT d.event_id, d.destination_id, d.day, d.state, d.due_at, d.attempts, d.verdict, d.created_at, d.finished_at,
       t.kind, t.name AS destination_name, t.number AS destination_number, e.event_type, e.occurred_at, e.facts
FROM deliveries d JOIN destinations t USING (destination_id)
LEFT JOIN delivery_events e ON e.event_id = d.event_id AND e.day = d.day
WHERE t.team_id = $1 AND d.event_id = $2 AND ($3::text IS NULL OR d.destination_id = $3)
ORDER BY d.created_at, d.destination_id LIMIT 100;

-- name: attempts
-- The attempts of some deliveries, in order.
SELECT a.event_id, a.destination_id, a.attempt_id, a.attempt, a.started_at, a.duration_ms, a.request, a.status_code, a.answer, a.outcome, a.verdict
FROM unnest($1::text[], $2::text[]) AS w (event_id, destination_id)
JOIN attempts a ON a.event_id = w.event_id AND a.destination_id = w.destination_id
ORDER BY a.event_id, a.destination_id, a.attempt, a.attempt_id;
