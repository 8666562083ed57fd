-- Reconciliation: which link a new subscriber came through.

-- name: kinds
-- Kinds of links the account has or awaits; only these are listed, a page costs a credit.
SELECT DISTINCT kind FROM inventory_links WHERE account_id = $1 AND role <> 'external';

-- name: known
-- Every link of a kind with a platform id, as last read.
SELECT inventory_link_id, provider_link_id, role, state, subscribers_seen, subscribers_read
FROM inventory_links WHERE account_id = $1 AND kind = $2 AND provider_link_id IS NOT NULL;

-- name: adopt_external
-- Links that were not made by us, remembered to tell a fan who came through one from an organic one.
INSERT INTO inventory_links (account_id, offer, kind, role, state, provider_link_id, name, url, claim_limit, expires_at,
                             clicks_seen, subscribers_seen, subscribers_read)
SELECT $1, t.offer, $2, 'external', 'ready', t.provider_link_id, t.name, t.url, t.claim_limit, t.expires_at, t.clicks, t.subscribers, t.read
FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::integer[], $8::timestamptz[], $9::integer[], $10::integer[], $11::integer[])
  AS t (offer, provider_link_id, name, url, claim_limit, expires_at, clicks, subscribers, read)
ON CONFLICT (account_id, kind, provider_link_id) DO NOTHING;

-- name: adopt_unlisted
-- Links only the feed of their users knows so far. Once listed they may be imported.
INSERT INTO inventory_links (account_id, offer, kind, role, state, provider_link_id)
SELECT $1, CASE WHEN $2 = 'tracking_link' THEN 'tracking' ELSE 'trial-0' END, $2, 'external', 'ready', t.provider_link_id
FROM unnest($3::text[]) AS t (provider_link_id)
ON CONFLICT (account_id, kind, provider_link_id) DO NOTHING;

-- name: by_provider_id
-- Our numbers of links the provider names.
SELECT provider_link_id, inventory_link_id FROM inventory_links
WHERE account_id = $1 AND kind = $2 AND provider_link_id = ANY($3::text[]);

-- name: import
-- Links made elsewhere, named for import, join the pools; their names may have been changed since we first saw them.
UPDATE inventory_links l SET role = 'pool', offer = t.offer, name = t.name, url = t.url, claim_limit = t.claim_limit, expires_at = t.expires_at
FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::integer[], $8::timestamptz[])
  AS t (offer, provider_link_id, name, url, claim_limit, expires_at)
WHERE l.account_id = $1 AND l.kind = $2 AND l.provider_link_id = t.provider_link_id AND l.role = 'external' AND l.state = 'ready'
RETURNING l.inventory_link_id;

-- name: count
-- The counters as listed. One that fell takes what was read down with it, or the next subscriber would go unnoticed.
UPDATE inventory_links l SET clicks_seen = t.clicks, subscribers_seen = t.subscribers,
    subscribers_read = CASE WHEN t.subscribers < l.subscribers_seen THEN least(l.subscribers_read, t.subscribers)
                            ELSE l.subscribers_read END
FROM unnest($1::bigint[], $2::integer[], $3::integer[]) AS t (inventory_link_id, clicks, subscribers)
WHERE l.inventory_link_id = t.inventory_link_id AND (l.clicks_seen, l.subscribers_seen) IS DISTINCT FROM (t.clicks, t.subscribers);

-- name: edges
-- What is known already of these fans on a link, and the latest time they came through any link.
SELECT f.fan_id,
       count(e.*) FILTER (WHERE e.inventory_link_id = $3) AS occurrences,
       max(e.at) FILTER (WHERE e.inventory_link_id = $3) AS latest_here,
       max(e.at) AS latest_anywhere
FROM unnest($2::text[]) AS f (fan_id)
LEFT JOIN platform_events e ON e.account_id = $1 AND e.fan_id = f.fan_id AND e.kind = 'link_subscriber'
GROUP BY f.fan_id;

-- name: read_up_to
-- Subscriptions of a link that are explained now.
UPDATE inventory_links SET subscribers_read = subscribers_read + $2 WHERE inventory_link_id = $1;

-- name: give_up
-- The list never showed whom the counter counted: stop paying for it.
UPDATE inventory_links SET subscribers_read = subscribers_seen
WHERE inventory_link_id = ANY($1::bigint[]) AND subscribers_read < subscribers_seen;

-- name: settle_external
-- Nobody is looked for: what links that are not ours counted so far is not asked about.
UPDATE inventory_links SET subscribers_read = subscribers_seen
WHERE account_id = $1 AND role = 'external' AND subscribers_read <> subscribers_seen;

-- name: waiting
-- Fans told to have subscribed of whom no link is known since. $2: how long after hearing of them they are looked for.
-- A renewal that was paid for is not a subscription through a link.
SELECT fan_id, at, first_seen_at FROM (
    SELECT DISTINCT ON (s.fan_id) s.fan_id, s.at, s.first_seen_at
    FROM platform_events s
    WHERE s.account_id = $1 AND s.kind = 'subscribed' AND s.first_seen_at > now() - make_interval(secs => $2)
    ORDER BY s.fan_id, s.at DESC, s.event_key
) s
WHERE NOT EXISTS (SELECT FROM platform_events e WHERE e.account_id = $1 AND e.fan_id = s.fan_id AND e.kind = 'link_subscriber'
                  AND e.at >= s.at - interval '60 seconds')
  AND NOT EXISTS (SELECT FROM platform_events r WHERE r.account_id = $1 AND r.fan_id = s.fan_id AND r.kind = 'transaction'
                  AND r.detail->>'type' = 'recurring_subscription'
                  AND r.at BETWEEN s.at - interval '10 minutes' AND s.at + interval '10 minutes');
