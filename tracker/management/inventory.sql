-- An account's tracking and trial links, as the inventory they are. Every query names the team.

-- name: account
-- An account of the team.
SELECT account_id, provider, provider_account_id, username, api_key_sealed, session_state, session_message FROM accounts
WHERE team_id = $1 AND account_id = $2 AND disconnected_at IS NULL;

-- name: page
-- Links of a kind, with what their subscribers paid since (spec: a payment taken back does not count) and what was taken back.
SELECT l.inventory_link_id, l.offer, l.kind, l.role, l.state, l.provider_link_id, l.name, l.url, l.claim_limit, l.expires_at,
       l.clicks_seen, l.subscribers_seen, l.created_at, l.retired_at, l.retired_reason,
       (SELECT coalesce(array_agg(t.tag ORDER BY t.tag), '{}') FROM link_tags t
        WHERE t.team_id = $1 AND t.kind = $4 AND t.target_id = l.inventory_link_id::text) AS tags,
       m.gross_cents, m.taken_cents, m.spenders
FROM (
    SELECT l.* FROM inventory_links l JOIN accounts a USING (account_id)
    WHERE a.team_id = $1 AND l.account_id = $2 AND l.kind = $3 AND l.provider_link_id IS NOT NULL
      AND ($5::text IS NULL OR l.provider_link_id = $5)
      AND ($6 OR l.state = 'ready') AND ($7 OR l.role = 'external')
      AND ($8::text IS NULL OR strpos(lower(l.name), lower($8)) > 0)
      AND ($9::text[] IS NULL OR EXISTS (SELECT FROM link_tags t WHERE t.team_id = $1 AND t.kind = $4
           AND t.target_id = l.inventory_link_id::text AND t.tag = ANY($9)))
      AND ($10::timestamptz IS NULL OR l.created_at >= $10) AND ($11::timestamptz IS NULL OR l.created_at < $11)
    ORDER BY $13::bigint * CASE $12::text WHEN 'claims' THEN l.subscribers_seen WHEN 'limit' THEN coalesce(l.claim_limit, 0)
             WHEN 'expires' THEN (extract(epoch FROM coalesce(l.expires_at, 'epoch')))::bigint
             WHEN 'days' THEN coalesce(nullif(substring(l.offer FROM '\d+$'), ''), '0')::bigint
             ELSE l.inventory_link_id END DESC, l.inventory_link_id DESC LIMIT $14::bigint OFFSET $15::bigint
) l CROSS JOIN LATERAL (
    SELECT coalesce(sum(p.gross_cents) FILTER (WHERE NOT p.taken), 0)::bigint AS gross_cents,
           coalesce(sum(p.gross_cents) FILTER (WHERE p.taken), 0)::bigint AS taken_cents,
           count(DISTINCT p.fan_id) FILTER (WHERE NOT p.taken AND p.gross_cents > 0) AS spenders
    FROM (
        SELECT s.fan_id, max((e.detail ->> 'gross_cents')::bigint) AS gross_cents,
               bool_or(e.detail ->> 'status' IN ('pending_return', 'undo')) AS taken
        FROM (SELECT fan_id, min(at) AS at FROM platform_events WHERE inventory_link_id = l.inventory_link_id AND kind = 'link_subscriber' GROUP BY fan_id) s
        JOIN platform_events e ON e.account_id = l.account_id AND e.fan_id = s.fan_id AND e.kind = 'transaction' AND e.at >= s.at - interval '10 minutes'
        GROUP BY s.fan_id, e.detail ->> 'transaction_id'
    ) p
) m
ORDER BY $13::bigint * CASE $12::text WHEN 'claims' THEN l.subscribers_seen WHEN 'limit' THEN coalesce(l.claim_limit, 0)
         WHEN 'expires' THEN (extract(epoch FROM coalesce(l.expires_at, 'epoch')))::bigint
         WHEN 'days' THEN coalesce(nullif(substring(l.offer FROM '\d+$'), ''), '0')::bigint
         ELSE l.inventory_link_id END DESC, l.inventory_link_id DESC;

-- name: insert
-- A link made by hand; a reconciliation that met it first has taken it in already.
INSERT INTO inventory_links (account_id, offer, kind, role, state, provider_link_id, name, url, claim_limit, expires_at)
VALUES ($1, $2, $3, 'external', 'ready', $4, $5, $6, $7, $8)
ON CONFLICT (account_id, kind, provider_link_id) DO UPDATE SET name = excluded.name, url = coalesce(inventory_links.url, excluded.url)
RETURNING inventory_link_id;

-- name: retire
-- Gone from the platform; what fans brought through it is still known.
UPDATE inventory_links SET state = 'retired', retired_at = now(), retired_reason = 'deleted' WHERE inventory_link_id = $1;

-- name: subscribers
-- Who came through a link, newest first, as far as its list was read.
SELECT s.fan_id, s.at, f.username, f.name FROM (
    SELECT account_id, fan_id, min(at) AS at FROM platform_events WHERE inventory_link_id = $1 AND kind = 'link_subscriber' GROUP BY account_id, fan_id
) s LEFT JOIN fans f USING (account_id, fan_id) ORDER BY s.at DESC, s.fan_id LIMIT $2 OFFSET $3;

-- name: payments
-- What a link's subscribers paid since they came: per payment its fan, how long after, when, how much, and whether it was taken back.
SELECT s.fan_id, f.username, s.at AS subscribed_at, min(e.at) AS paid_at, max((e.detail ->> 'gross_cents')::bigint) AS gross_cents,
       max((e.detail ->> 'net_cents')::bigint) AS net_cents, bool_or(e.detail ->> 'status' IN ('pending_return', 'undo')) AS taken
FROM (SELECT account_id, fan_id, min(at) AS at FROM platform_events WHERE inventory_link_id = $1 AND kind = 'link_subscriber' GROUP BY account_id, fan_id) s
LEFT JOIN fans f USING (account_id, fan_id)
LEFT JOIN platform_events e ON e.account_id = s.account_id AND e.fan_id = s.fan_id AND e.kind = 'transaction' AND e.at >= s.at - interval '10 minutes'
GROUP BY s.fan_id, f.username, s.at, e.detail ->> 'transaction_id'
ORDER BY s.at, s.fan_id;

-- name: clicks
-- Clicks this link was given to, per UTC day; bots are given none.
SELECT date_trunc('day', clicked_at AT TIME ZONE 'UTC') AS day, count(*) AS clicks FROM clicks
WHERE inventory_link_id = $1 AND clicked_at >= $2 AND clicked_at < $3 AND click_id >= $4 AND click_id < $5 AND NOT is_bot GROUP BY 1;
