-- Destinations: postbacks, connections, webhooks. Every query names the team.

-- name: page
-- The team's destinations of some kinds with their smart links, what waits and the last attempt, newest first.
SELECT d.destination_id, d.number, d.kind, d.name, d.config, d.secrets_sealed IS NOT NULL AS has_token, d.scope, d.event_types, d.state,
       d.state_reason, d.created_at, d.updated_at,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('smart_link_id', s.smart_link_id, 'name', s.name, 'account_id', s.account_id,
               'account_name', coalesce(nullif(a.display_name, ''), a.username)) ORDER BY s.smart_link_id), '[]')
        FROM destination_links l JOIN smart_links s USING (smart_link_id) JOIN accounts a USING (account_id)
        WHERE l.destination_id = d.destination_id AND s.state <> 'deleted') AS smart_links,
       (SELECT to_jsonb(x) FROM (SELECT attempt_id, outcome, status_code, verdict, started_at, request,
            (SELECT e.event_type FROM delivery_events e WHERE e.event_id = a.event_id LIMIT 1) AS event_type
         FROM attempts a WHERE a.destination_id = d.destination_id ORDER BY started_at DESC, attempt_id DESC LIMIT 1) x) AS latest,
       (SELECT count(*) FROM deliveries w WHERE w.destination_id = d.destination_id AND w.state = 'waiting') AS waiting
FROM destinations d
WHERE d.team_id = $1 AND d.kind = ANY($2::text[]) AND d.state <> 'deleted'
  AND ($3::text IS NULL OR d.destination_id = $3 OR d.number::text = $3)
ORDER BY d.created_at DESC, d.destination_id DESC LIMIT $4 OFFSET $5;

-- name: insert
-- A postback or another destination.
INSERT INTO destinations (destination_id, team_id, kind, name, config, secrets_sealed, scope, event_types, state)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: held
-- A destination of the team, held until the change is done.
SELECT destination_id, kind, name, config, secrets_sealed, scope, event_types, state,
       (SELECT coalesce(array_agg(smart_link_id ORDER BY smart_link_id), '{}') FROM destination_links l WHERE l.destination_id = d.destination_id) AS links
FROM destinations d
WHERE team_id = $1 AND kind = ANY($2::text[]) AND state <> 'deleted' AND (destination_id = $3 OR number::text = $3) FOR UPDATE;

-- name: update
-- Change a destination; a NULL token or state leaves it as it is. One made active again goes on with all that waited for it.
UPDATE destinations
SET name = $3, config = $4, secrets_sealed = coalesce($5, secrets_sealed), scope = $6, event_types = $7, state = coalesce($8, state),
    state_reason = CASE WHEN $8::text IS NULL THEN state_reason ELSE '' END, failing_since = NULL, breaker_until = NULL,
    updated_at = now()
WHERE team_id = $1 AND destination_id = $2;

-- name: resume_now
-- What waited for a destination that was paused goes out at once, not when its retry was due.
UPDATE deliveries SET due_at = now() WHERE destination_id = $1 AND state = 'waiting' AND due_at > now();

-- name: link
-- The smart links a campaign-specific destination serves; links of other teams are left out.
INSERT INTO destination_links (destination_id, smart_link_id)
SELECT $1, s.smart_link_id FROM smart_links s WHERE s.team_id = $2 AND s.smart_link_id = ANY($3::text[]) AND s.state <> 'deleted';

-- name: unlink
-- Before new links are set.
DELETE FROM destination_links WHERE destination_id = $1;

-- name: delete
-- Gone for the team; what was delivered stays in the log.
UPDATE destinations SET state = 'deleted', updated_at = now() WHERE team_id = $1 AND destination_id = $2;

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
