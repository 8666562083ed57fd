-- The management API's queries. Every query of a team's things names the team.

-- name: insert_team
-- A tenant.
INSERT INTO teams (team_id, name) VALUES ($1, $2);

-- name: insert_account
-- A creator's connected account.
INSERT INTO accounts (account_id, team_id, provider, provider_account_id, username, shard, api_key_sealed, webhook_secret_sealed, import_prefix)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (team_id, provider, provider_account_id) DO NOTHING RETURNING account_id;

-- name: accounts
-- The team's accounts with their health.
SELECT a.account_id, a.provider, a.provider_account_id, a.platform_user_id, a.username, a.display_name, a.profile_url,
       a.subscribe_price_cents, a.session_state, a.session_message, a.session_changed_at, a.created_at,
       (SELECT jsonb_object_agg(p.offer, p.links) FROM
          (SELECT offer, count(*) AS links FROM inventory_links i
           WHERE i.account_id = a.account_id AND i.state = 'ready' AND i.role = 'pool' GROUP BY offer) p) AS pools,
       (SELECT string_agg(DISTINCT j.last_error, ' ') FROM account_jobs j WHERE j.account_id = a.account_id AND j.failures > 0) AS last_error
FROM accounts a WHERE a.team_id = $1 AND ($2::text IS NULL OR a.account_id = $2) ORDER BY a.created_at, a.account_id;

-- name: count_accounts
-- How many accounts there are, to spread new ones over the shards.
SELECT count(*) FROM accounts;

-- name: insert_smart_link
-- A smart link of an account of the team; nothing comes back when the account is not the team's.
INSERT INTO smart_links (smart_link_id, team_id, account_id, name, link_type, free_trial_days, offer, window_seconds, fallback_url)
SELECT $1, $2, a.account_id, $4, $5, $6, $7, $8, $9 FROM accounts a WHERE a.account_id = $3 AND a.team_id = $2
RETURNING smart_link_id;

-- name: smart_links
-- The team's smart links with their totals. Revenue is the sum of transactions whose money is still ours (spec 5).
SELECT s.smart_link_id, s.name, s.link_type, s.free_trial_days, s.window_seconds, s.fallback_url, s.state, s.created_at, s.updated_at,
       a.account_id, a.username, a.display_name,
       coalesce(h.clicks, 0) AS clicks, coalesce(h.gross_clicks, 0) AS gross_clicks, coalesce(h.bots, 0) AS bots,
       coalesce(h.prefetches, 0) AS prefetches, c.conversions, c.subscribers, r.gross_cents, r.net_cents, r.spenders
FROM smart_links s JOIN accounts a USING (account_id)
LEFT JOIN LATERAL (
    SELECT sum(clicks)::bigint AS clicks, sum(gross_clicks)::bigint AS gross_clicks, sum(bots)::bigint AS bots,
           sum(prefetches)::bigint AS prefetches
    FROM click_hours h WHERE h.smart_link_id = s.smart_link_id) h ON true
LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE conversion_type <> 'transaction_status') AS conversions,
           count(*) FILTER (WHERE conversion_type = 'new_subscriber') AS subscribers
    FROM conversions c WHERE c.smart_link_id = s.smart_link_id AND c.retracted_at IS NULL) c ON true
LEFT JOIN LATERAL (
    SELECT coalesce(sum(gross_cents), 0)::bigint AS gross_cents, coalesce(sum(net_cents), 0)::bigint AS net_cents,
           count(DISTINCT fan_id) FILTER (WHERE gross_cents > 0) AS spenders
    FROM revenue r WHERE r.smart_link_id = s.smart_link_id) r ON true
WHERE s.team_id = $1 AND s.state <> 'deleted'
  AND ($2::text IS NULL OR s.smart_link_id = $2)
  AND ($3::text IS NULL OR s.name ILIKE '%' || $3 || '%')
  AND ($4::text[] IS NULL OR s.account_id = ANY($4))
ORDER BY s.created_at DESC, s.smart_link_id DESC LIMIT $5 OFFSET $6;

-- name: update_smart_link
-- Change what is given; NULL leaves a column as it is.
UPDATE smart_links SET name = coalesce($3, name), window_seconds = coalesce($4, window_seconds),
    fallback_url = coalesce($5, fallback_url), state = coalesce($6, state), updated_at = now()
WHERE team_id = $1 AND smart_link_id = $2 AND state <> 'deleted' RETURNING account_id;

-- name: daily
-- One smart link's days: clicks, subscribers, revenue, spenders.
WITH days AS (
    SELECT date_trunc('day', hour AT TIME ZONE 'UTC') AS day, sum(clicks)::bigint AS clicks FROM click_hours
    WHERE smart_link_id = $1 AND hour >= $2 AND hour < $3 GROUP BY 1
), subscribed AS (
    SELECT date_trunc('day', conversion_at AT TIME ZONE 'UTC') AS day, count(*) AS subs FROM conversions
    WHERE smart_link_id = $1 AND retracted_at IS NULL AND conversion_type = 'new_subscriber'
      AND conversion_at >= $2 AND conversion_at < $3 GROUP BY 1
), earned AS (
    SELECT date_trunc('day', conversion_at AT TIME ZONE 'UTC') AS day, sum(gross_cents)::bigint AS cents,
           count(DISTINCT fan_id) FILTER (WHERE gross_cents > 0) AS spenders
    FROM revenue WHERE smart_link_id = $1 AND conversion_at >= $2 AND conversion_at < $3 GROUP BY 1
)
SELECT day, coalesce(clicks, 0) AS clicks, coalesce(subs, 0) AS subs, coalesce(cents, 0) AS cents, coalesce(spenders, 0) AS spenders
FROM days FULL JOIN subscribed USING (day) FULL JOIN earned USING (day) ORDER BY day;

-- name: insert_destination
-- A postback or another destination.
INSERT INTO destinations (destination_id, team_id, kind, name, config, scope, event_types) VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: link_destination
-- The smart links a campaign-specific destination serves; links of other teams are left out.
INSERT INTO destination_links (destination_id, smart_link_id)
SELECT $1, s.smart_link_id FROM smart_links s WHERE s.team_id = $2 AND s.smart_link_id = ANY($3::text[]);

-- name: unlink_destination
-- Before new links are set.
DELETE FROM destination_links WHERE destination_id = $1;

-- name: destinations
-- The team's destinations of a kind with their last attempt.
SELECT d.destination_id, d.kind, d.name, d.config, d.scope, d.event_types, d.state, d.state_reason, d.created_at, d.updated_at,
       (SELECT array_agg(smart_link_id ORDER BY smart_link_id) FROM destination_links l WHERE l.destination_id = d.destination_id) AS links,
       (SELECT to_jsonb(x) FROM (SELECT outcome, status_code, verdict, started_at FROM attempts a
         WHERE a.destination_id = d.destination_id ORDER BY started_at DESC LIMIT 1) x) AS latest
FROM destinations d WHERE d.team_id = $1 AND d.kind = $2 AND d.state <> 'deleted' AND ($3::text IS NULL OR d.destination_id = $3)
ORDER BY d.created_at DESC, d.destination_id DESC LIMIT $4 OFFSET $5;

-- name: update_destination
-- Change a destination of the team.
UPDATE destinations SET config = $3, scope = $4, event_types = $5, state = coalesce($6, state), state_reason = '', updated_at = now()
WHERE team_id = $1 AND destination_id = $2 AND state <> 'deleted' RETURNING destination_id;

-- name: delete_destination
-- Gone for the team; what was delivered stays in the log.
UPDATE destinations SET state = 'deleted', updated_at = now()
WHERE team_id = $1 AND destination_id = $2 AND state <> 'deleted' RETURNING destination_id;

-- name: deliveries
-- A destination's deliveries, newest first, with their attempts.
SELECT d.event_id, d.state, d.due_at, d.attempts, d.verdict, d.created_at, d.finished_at, e.event_type, e.facts,
       (SELECT jsonb_agg(jsonb_build_object('attempt', a.attempt, 'started_at', a.started_at, 'duration_ms', a.duration_ms,
               'request', a.request, 'status_code', a.status_code, 'answer', a.answer, 'outcome', a.outcome, 'verdict', a.verdict)
               ORDER BY a.attempt) FROM attempts a
        WHERE a.event_id = d.event_id AND a.destination_id = d.destination_id) AS tries
FROM deliveries d JOIN destinations t USING (destination_id) JOIN delivery_events e ON e.event_id = d.event_id AND e.day = d.day
WHERE t.team_id = $1 AND d.destination_id = $2 AND ($3::text IS NULL OR d.state = $3)
ORDER BY d.created_at DESC, d.event_id DESC LIMIT $4 OFFSET $5;
