-- name: ready
-- Active destinations with something due, found by hopping from destination to destination along deliveries_waiting: the
-- cost follows the number of destinations that wait for something, not the length of their queues.
WITH RECURSIVE hop AS (
    (SELECT destination_id FROM deliveries WHERE state = 'waiting' ORDER BY destination_id LIMIT 1)
    UNION ALL
    SELECT (SELECT d.destination_id FROM deliveries d
            WHERE d.state = 'waiting' AND d.destination_id > hop.destination_id ORDER BY d.destination_id LIMIT 1)
    FROM hop WHERE hop.destination_id IS NOT NULL
)
SELECT hop.destination_id
FROM hop JOIN destinations USING (destination_id)
CROSS JOIN LATERAL (
    SELECT FROM deliveries d
    WHERE d.state = 'waiting' AND d.destination_id = hop.destination_id AND d.due_at <= now()
      AND (d.lease_until IS NULL OR d.lease_until < now())
    ORDER BY d.due_at
    LIMIT 1
) due
WHERE destinations.state = 'active' AND (destinations.breaker_until IS NULL OR destinations.breaker_until <= now());

-- name: claim
-- Lease what is due, so many per destination, oldest due first. The lease lives in columns no index holds, so that taking it
-- is a heap-only update; `version` tells the dispatcher that a destination was edited. The constant limit is for the planner alone:
-- not knowing lanes.take it would expect a tenth of the backlog, and join by scanning the table. One JSON text for $7 deliveries,
-- side by side, costs the dispatcher a fraction of what a row per delivery does; $6 are the facts that destinations of the kinds $5
-- read, twelve at most, and $9 those that a destination reads which is still as it was known ($8 its version); else all are told.
WITH lanes AS (
    SELECT asked.destination_id, asked.take, d.kind, d.xmin::text AS version,
        coalesce(kinds.names, CASE WHEN asked.version = d.xmin::text THEN asked.names END)::text[] AS names
    FROM unnest($1::text[], $2::int[], $8::text[], $9::text[]) AS asked (destination_id, take, version, names)
    JOIN destinations d ON d.destination_id = asked.destination_id AND d.state = 'active'
    LEFT JOIN unnest($5::text[], $6::text[]) AS kinds (kind, names) ON kinds.kind = d.kind
), picked AS MATERIALIZED (
    SELECT due.event_id, due.destination_id, due.day, lanes.kind, lanes.names, lanes.version
    FROM lanes CROSS JOIN LATERAL (
        SELECT capped.* FROM (
            SELECT d.event_id, d.destination_id, d.day
            FROM deliveries d
            WHERE d.destination_id = lanes.destination_id AND d.state = 'waiting' AND d.due_at <= now()
              AND (d.lease_until IS NULL OR d.lease_until < now())
            ORDER BY d.due_at
            LIMIT 2000
            FOR UPDATE SKIP LOCKED
        ) capped
        LIMIT lanes.take
    ) due
), leased AS (
    UPDATE deliveries d
    SET lease_until = now() + make_interval(secs => $3), lease_token = $4
    FROM picked p LEFT JOIN delivery_events e ON e.event_id = p.event_id AND e.day = p.day
    WHERE d.event_id = p.event_id AND d.destination_id = p.destination_id AND d.day = p.day
    RETURNING p.kind, p.names, p.version, d.destination_id, d.day, d.due_at, d.event_id, d.attempts, d.uncharged, d.created_at,
        d.ambiguous_at, e.event_id IS NULL AS gone, e.event_type, e.occurred_at,
        e.facts || '{}' AS facts -- long ones are decompressed once, not for every name
), placed AS (
    SELECT *, (row_number() OVER (PARTITION BY destination_id, day, gone ORDER BY due_at) - 1) / $7::int AS place FROM leased
)
SELECT destination_id, version, names, day, gone, count(*) AS count, convert_to(json_build_array(
    json_agg(event_id), json_agg(attempts), json_agg(uncharged), json_agg(date_part('epoch', now() - created_at)::int),
    json_agg(date_part('epoch', ambiguous_at)), json_agg(coalesce(event_type, '')),
    json_agg(coalesce(date_part('epoch', occurred_at), 0)),
    CASE WHEN names IS NOT NULL THEN json_build_array(
        json_agg(coalesce(facts ->> names[1], '')) FILTER (WHERE names IS NOT NULL),
        json_agg(coalesce(facts ->> names[2], '')) FILTER (WHERE names IS NOT NULL),
        json_agg(coalesce(facts ->> names[3], '')) FILTER (WHERE names IS NOT NULL),
        json_agg(coalesce(facts ->> names[4], '')) FILTER (WHERE names IS NOT NULL),
        json_agg(coalesce(facts ->> names[5], '')) FILTER (WHERE names IS NOT NULL),
        json_agg(coalesce(facts ->> names[6], '')) FILTER (WHERE names IS NOT NULL),
        json_agg(coalesce(facts ->> names[7], '')) FILTER (WHERE names IS NOT NULL),
        json_agg(coalesce(facts ->> names[8], '')) FILTER (WHERE names IS NOT NULL),
        json_agg(coalesce(facts ->> names[9], '')) FILTER (WHERE names IS NOT NULL),
        json_agg(coalesce(facts ->> names[10], '')) FILTER (WHERE names IS NOT NULL),
        json_agg(coalesce(facts ->> names[11], '')) FILTER (WHERE names IS NOT NULL),
        json_agg(coalesce(facts ->> names[12], '')) FILTER (WHERE names IS NOT NULL)
    ) END,
    json_agg(facts) FILTER (WHERE names IS NULL AND NOT gone)
)::text, 'UTF8') AS text
FROM placed
GROUP BY destination_id, kind, version, names, day, gone, place
ORDER BY destination_id, min(due_at);

-- name: destinations
-- What is needed to send to these destinations.
SELECT destination_id, kind, config::text AS config, secrets_sealed, failing_since, breaker_until, xmin::text AS version
FROM destinations WHERE destination_id = ANY ($1::text[]);

-- name: complete
-- Finished attempts: the deliveries' next state where the lease is still ours, and every attempt in the log. One JSON text
-- costs the sender a third of what sixteen arrays do. With $2 it may have been committed before, its reply lost: what is
-- in the log stays there once.
WITH done AS (
    SELECT * FROM json_to_recordset($1::text::json) AS t (
        event_id text, destination_id text, day date, lease_token text, state text, delay float8, charged bool, verdict text,
        attempt int, started_at timestamptz, duration_ms int, request text, status_code int, answer text, outcome text,
        words text, ambiguous bool
    )
), settled AS (
    UPDATE deliveries d
    SET state = done.state,
        due_at = CASE WHEN done.state = 'waiting' THEN now() + make_interval(secs => done.delay) ELSE d.due_at END,
        attempts = d.attempts + 1,
        uncharged = d.uncharged + CASE WHEN done.charged THEN 0 ELSE 1 END,
        lease_until = NULL,
        lease_token = NULL,
        finished_at = CASE WHEN done.state <> 'waiting' THEN now() END,
        verdict = done.verdict,
        ambiguous_at = CASE WHEN done.ambiguous THEN coalesce(d.ambiguous_at, done.started_at) ELSE d.ambiguous_at END
    FROM done
    WHERE d.event_id = done.event_id AND d.destination_id = done.destination_id AND d.day = done.day
      AND d.lease_token = done.lease_token
    RETURNING d.event_id, d.destination_id
), logged AS (
    INSERT INTO attempts (day, event_id, destination_id, attempt, started_at, duration_ms, request, status_code, answer,
                          outcome, verdict)
    SELECT (started_at AT TIME ZONE 'UTC')::date, event_id, destination_id, attempt, started_at, duration_ms, request,
           status_code, answer, outcome, words
    FROM done
    WHERE NOT $2::bool OR NOT EXISTS (
        SELECT FROM attempts a
        WHERE a.event_id = done.event_id AND a.destination_id = done.destination_id AND a.started_at = done.started_at
    )
)
SELECT event_id, destination_id FROM settled;

-- name: complete_batch
-- A batch that was taken whole: as `complete`, of deliveries that share everything but their key ($1: side by side their event ids,
-- attempts and places of their leases; the leases, [day, lease_token] each) and their part of the request ($4, a JSON array; $5 goes
-- before each, $6 characters are kept).
WITH told AS MATERIALIZED (
    SELECT convert_from($1::bytea, 'UTF8')::json AS keys
), done AS MATERIALIZED (
    SELECT one.event_id, (lease.key ->> 0)::date AS day, lease.key ->> 1 AS lease_token, one.attempt::int, one.place
    FROM told, ROWS FROM (
        json_array_elements_text(keys -> 0), json_array_elements_text(keys -> 1), json_array_elements_text(keys -> 2)
    ) WITH ORDINALITY AS one (event_id, attempt, lease, place)
    JOIN json_array_elements(keys -> 3) WITH ORDINALITY AS lease (key, number) ON lease.number = one.lease::int + 1
    ORDER BY event_id
), settled AS (
    UPDATE deliveries d
    SET state = 'delivered', attempts = d.attempts + 1, lease_until = NULL, lease_token = NULL, finished_at = now(), verdict = $12
    FROM done
    WHERE d.event_id = done.event_id AND d.destination_id = $3 AND d.day = done.day AND d.lease_token = done.lease_token
    RETURNING d.event_id
), logged AS (
    INSERT INTO attempts (day, event_id, destination_id, attempt, started_at, duration_ms, request, status_code, answer,
                          outcome, verdict)
    SELECT ($7::timestamptz AT TIME ZONE 'UTC')::date, done.event_id, $3, done.attempt, $7, $8,
           $5 || 'event ' || done.place || ' of ' || $2::int || ': '
               || CASE WHEN length(part.own) > $6::int THEN left(part.own, $6) || '...' ELSE part.own END,
           $9, $10, $11, $12
    FROM done JOIN json_array_elements_text(convert_from($4::bytea, 'UTF8')::json) WITH ORDINALITY AS part (own, place) USING (place)
    WHERE NOT $13::bool OR NOT EXISTS (
        SELECT FROM attempts a WHERE a.event_id = done.event_id AND a.destination_id = $3 AND a.started_at = $7
    )
)
SELECT count(*) FROM settled;

-- name: release
-- Give back what was leased and never sent.
UPDATE deliveries d SET lease_until = NULL, lease_token = NULL
FROM unnest($1::text[], $2::text[], $3::date[], $4::text[]) AS t (event_id, destination_id, day, lease_token)
WHERE d.event_id = t.event_id AND d.destination_id = t.destination_id AND d.day = t.day AND d.lease_token = t.lease_token;

-- name: failing
-- The destination has failed since then, and gets no requests until the breaker half-opens. The earliest memory stands,
-- unless it is stale.
UPDATE destinations
SET failing_since = CASE WHEN failing_since > $4 THEN least(failing_since, $2) ELSE $2 END, breaker_until = $3
WHERE destination_id = $1 AND state = 'active';

-- name: recovered
-- One success forgives everything.
UPDATE destinations SET failing_since = NULL, breaker_until = NULL
WHERE destination_id = $1 AND (failing_since IS NOT NULL OR breaker_until IS NOT NULL);

-- name: halt
-- Pause or disable a destination and say why. With $4, only if it still fails since before that time.
UPDATE destinations
SET state = $2, state_reason = $3, failing_since = NULL, breaker_until = NULL, updated_at = now()
WHERE destination_id = $1 AND state = 'active' AND ($4::timestamptz IS NULL OR failing_since < $4)
RETURNING destination_id;

-- name: strand
-- What still waits for a disabled destination is dead: visible, replayable, and no queue that nobody works off. What is being
-- sent right now is left to whoever holds its lease.
WITH picked AS (
    SELECT held.event_id, held.destination_id, held.day, d.state_reason
    FROM destinations d CROSS JOIN LATERAL (
        SELECT w.event_id, w.destination_id, w.day
        FROM deliveries w
        WHERE w.destination_id = d.destination_id AND w.state = 'waiting' AND (w.lease_until IS NULL OR w.lease_until < now())
        ORDER BY w.due_at
        LIMIT 2000
        FOR UPDATE SKIP LOCKED
    ) held
    WHERE d.state = 'disabled'
)
UPDATE deliveries w
SET state = 'dead', finished_at = now(), lease_until = NULL, lease_token = NULL,
    verdict = 'given up: the destination was disabled' || CASE WHEN p.state_reason = '' THEN '' ELSE ' (' || p.state_reason || ')' END
FROM picked p
WHERE w.event_id = p.event_id AND w.destination_id = p.destination_id AND w.day = p.day;
