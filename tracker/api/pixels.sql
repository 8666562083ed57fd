-- name: insert_connection
-- A connection to an ad platform, or a fan action, with its sealed token.
INSERT INTO destinations (destination_id, team_id, kind, name, config, secrets_sealed, scope, event_types)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: connections
-- The team's connections with their links and last attempt, newest first.
SELECT d.destination_id, d.kind, d.name, d.config, d.secrets_sealed IS NOT NULL AS has_token, d.scope, d.event_types, d.state,
       d.state_reason, d.created_at, d.updated_at,
       (SELECT array_agg(smart_link_id ORDER BY smart_link_id) FROM destination_links l WHERE l.destination_id = d.destination_id) AS links,
       (SELECT to_jsonb(x) FROM (SELECT outcome, status_code, verdict, started_at FROM attempts a
         WHERE a.destination_id = d.destination_id ORDER BY attempt_id DESC LIMIT 1) x) AS latest,
       (SELECT count(*) FROM deliveries w WHERE w.destination_id = d.destination_id AND w.state = 'waiting') AS waiting
FROM destinations d
WHERE d.team_id = $1 AND d.kind <> 'postback' AND d.state <> 'deleted' AND ($2::text IS NULL OR d.destination_id = $2)
  AND ($3::text IS NULL OR d.kind = $3)
ORDER BY d.created_at DESC, d.destination_id DESC LIMIT $4 OFFSET $5;

-- name: destination
-- A destination of the team, of any kind, with what is needed to send to it.
SELECT destination_id, kind, config, secrets_sealed FROM destinations
WHERE team_id = $1 AND destination_id = $2 AND state <> 'deleted';

-- name: update_connection
-- Change a connection; a NULL token or state leaves it as it is. One made active again goes on with all that waited for it.
UPDATE destinations
SET name = $3, config = $4, secrets_sealed = coalesce($5, secrets_sealed), scope = $6, event_types = $7, state = coalesce($8, state),
    state_reason = CASE WHEN $8::text IS NULL THEN state_reason ELSE '' END, failing_since = NULL, breaker_until = NULL,
    updated_at = now()
WHERE team_id = $1 AND destination_id = $2 AND state <> 'deleted' RETURNING destination_id;

-- name: resume_now
-- What waited for a connection that was paused goes out at once, not when its retry was due.
UPDATE deliveries SET due_at = now() WHERE destination_id = $1 AND state = 'waiting' AND due_at > now();

-- name: match_keys
-- Of a connection's events of the last week (the newest 1,000): how many carry each thing a person can be matched by.
SELECT count(*) AS events,
       count(*) FILTER (WHERE e.facts ? '_ip') AS ip_address, count(*) FILTER (WHERE e.facts ? '_user_agent') AS user_agent,
       count(*) FILTER (WHERE e.facts ? 'fbclid' OR e.facts ? '_fbc') AS fbc, count(*) FILTER (WHERE e.facts ? '_fbp') AS fbp,
       count(*) FILTER (WHERE e.facts ? 'ttclid') AS ttclid, count(*) FILTER (WHERE e.facts ? '_ttp') AS ttp,
       count(*) FILTER (WHERE e.facts ? 'sccid') AS sccid, count(*) FILTER (WHERE e.facts ? '_scid') AS scid,
       count(*) FILTER (WHERE e.facts ? 'external_click_id') AS external_id, count(*) FILTER (WHERE e.facts ? 'country') AS country
FROM (SELECT event_id, day FROM deliveries WHERE destination_id = $1 AND created_at > now() - interval '7 days'
      ORDER BY created_at DESC LIMIT 1000) d
JOIN delivery_events e USING (event_id, day);
