-- The attribution worker's queries: take fans whose fold is due, load what it needs, store what it gives.

-- name: take_fans
-- Fans whose fold is due, locked for this transaction; a wake of a taken fan waits for our commit and then queues it anew.
SELECT account_id, fan_id FROM fan_queue
WHERE due_at <= now() ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED;

-- name: take_fan
-- One fan out of a batch that failed.
SELECT account_id, fan_id FROM fan_queue WHERE account_id = $1 AND fan_id = $2 FOR UPDATE SKIP LOCKED;

-- name: finish_fans
-- The folds are stored: nothing is due for these fans.
DELETE FROM fan_queue q USING unnest($1::text[], $2::text[]) AS t (account_id, fan_id)
WHERE q.account_id = t.account_id AND q.fan_id = t.fan_id;

-- name: postpone_fans
-- Run the fold again at a time: a price may come, or the fold failed.
INSERT INTO fan_queue (account_id, fan_id, due_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[])
ON CONFLICT (account_id, fan_id) DO UPDATE SET due_at = excluded.due_at;

-- name: accounts
-- The accounts of a batch.
SELECT a.account_id, a.team_id, a.platform_user_id, a.username, a.display_name, a.subscribe_price_cents, a.shard,
       coalesce((SELECT max(w.window_seconds) FROM smart_links s JOIN smart_link_windows w USING (smart_link_id)
                 WHERE s.account_id = a.account_id), 21600) AS longest_window
FROM accounts a WHERE a.account_id = ANY($1::text[]);

-- name: events
-- What the platform is known to have done with these fans. Most fans came through no link: nothing they pay or write can be
-- credited, so only their subscriptions are read.
SELECT e.account_id, e.fan_id, e.event_key, e.kind, e.at, e.precision_seconds, e.inventory_link_id, e.detail, e.first_seen_at,
       i.role, i.kind AS link_kind
FROM unnest($1::text[], $2::text[]) AS t (account_id, fan_id)
CROSS JOIN LATERAL (SELECT EXISTS (
    SELECT FROM platform_events l WHERE l.account_id = t.account_id AND l.fan_id = t.fan_id AND l.kind = 'link_subscriber'
) AS by_link) known
JOIN platform_events e ON e.account_id = t.account_id AND e.fan_id = t.fan_id
    AND (known.by_link OR e.kind IN ('subscribed', 'link_subscriber'))
LEFT JOIN inventory_links i ON i.inventory_link_id = e.inventory_link_id;

-- name: leased_clicks
-- Clicks sent to each inventory link within the longest window before a subscription (ids bound the time), and those of the
-- visits next to it on either side, if there are any, to tell "never leased" from "too early" and "too late".
WITH wanted AS (SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[]) AS t (inventory_link_id, from_id, to_id)),
found AS (
    SELECT w.inventory_link_id, c.click_id FROM wanted w
    JOIN clicks c ON c.inventory_link_id = w.inventory_link_id AND c.click_id BETWEEN w.from_id AND w.to_id
    UNION
    SELECT w.inventory_link_id, v.click_id FROM wanted w
    JOIN visits v ON v.inventory_link_id = w.inventory_link_id AND v.visit_id BETWEEN w.from_id AND w.to_id
    UNION
    SELECT w.inventory_link_id, n.click_id FROM wanted w
    CROSS JOIN LATERAL (
        (SELECT click_id FROM clicks c WHERE c.inventory_link_id = w.inventory_link_id AND c.click_id < w.from_id
         ORDER BY c.click_id DESC LIMIT 1)
        UNION ALL
        (SELECT click_id FROM clicks c WHERE c.inventory_link_id = w.inventory_link_id AND c.click_id > w.to_id
         ORDER BY c.click_id LIMIT 1)
        UNION ALL
        (SELECT click_id FROM visits v WHERE v.inventory_link_id = w.inventory_link_id AND v.visit_id < w.from_id
         ORDER BY v.visit_id DESC LIMIT 1)
        UNION ALL
        (SELECT click_id FROM visits v WHERE v.inventory_link_id = w.inventory_link_id AND v.visit_id > w.to_id
         ORDER BY v.visit_id LIMIT 1)
    ) n
)
SELECT f.inventory_link_id AS leased, c.click_id, c.smart_link_id, c.visitor, c.visitor_by, c.lease, c.ecid, c.clicked_at,
       c.inventory_link_id, w.window_seconds
FROM found f JOIN clicks c USING (click_id)
CROSS JOIN LATERAL (SELECT window_seconds FROM smart_link_windows w WHERE w.smart_link_id = c.smart_link_id
                    AND w.valid_from <= c.clicked_at ORDER BY w.valid_from DESC LIMIT 1) w
WHERE NOT c.is_bot;

-- name: visitor_clicks
-- All clicks of these visitors on their accounts.
SELECT c.account_id, c.click_id, c.smart_link_id, c.visitor, c.visitor_by, c.lease, c.ecid, c.clicked_at,
       c.inventory_link_id, w.window_seconds
FROM unnest($1::text[], $2::text[]) AS t (account_id, visitor)
JOIN clicks c ON c.account_id = t.account_id AND c.visitor = t.visitor AND NOT c.is_bot
CROSS JOIN LATERAL (SELECT window_seconds FROM smart_link_windows w WHERE w.smart_link_id = c.smart_link_id
                    AND w.valid_from <= c.clicked_at ORDER BY w.valid_from DESC LIMIT 1) w;

-- name: visits
-- The later visits of these clicks.
SELECT click_id, visited_at, visitor_by, inventory_link_id FROM visits WHERE click_id = ANY($1::text[]);

-- name: believed_bindings
-- The bindings of these fans as believed so far.
SELECT b.account_id, b.fan_id, b.binding_id, b.valid_from, b.click_id, b.rule, b.competing_clicks, b.lease, b.confidence, b.event_keys
FROM unnest($1::text[], $2::text[]) AS t (account_id, fan_id)
JOIN bindings b ON b.account_id = t.account_id AND b.fan_id = t.fan_id AND b.retracted_at IS NULL;

-- name: retract_bindings
-- No longer believed; kept as history.
UPDATE bindings SET retracted_at = now() WHERE binding_id = ANY($1::bigint[]);

-- name: explain_bindings
-- The same bindings, better explained: an event that came later tells of the same subscription.
UPDATE bindings b SET lease = t.lease, confidence = t.confidence, event_keys = string_to_array(t.event_keys, chr(31))
FROM unnest($1::bigint[], $2::text[], $3::float8[], $4::text[]) AS t (binding_id, lease, confidence, event_keys)
WHERE b.binding_id = t.binding_id;

-- name: insert_bindings
-- Newly believed.
INSERT INTO bindings (account_id, fan_id, valid_from, click_id, smart_link_id, rule, competing_clicks, lease, confidence, event_keys)
SELECT account_id, fan_id, valid_from, click_id, smart_link_id, rule, competing_clicks, lease, confidence, string_to_array(event_keys, chr(31))
FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::int[], $8::text[], $9::float8[], $10::text[])
  AS t (account_id, fan_id, valid_from, click_id, smart_link_id, rule, competing_clicks, lease, confidence, event_keys);

-- name: known_conversions
-- The conversions of these fans as stored.
SELECT c.* FROM unnest($1::text[], $2::text[]) AS t (account_id, fan_id)
JOIN conversions c ON c.account_id = t.account_id AND c.fan_id = t.fan_id;

-- name: insert_conversions
-- New conversions; the ids really new come back.
INSERT INTO conversions (conversion_id, team_id, account_id, smart_link_id, click_id, fan_id, conversion_type, conversion_at,
    amount_gross_cents, amount_net_cents, transaction_id, transaction_type, transaction_status, transaction_description,
    previously_subscribed, purchase, event_keys)
SELECT conversion_id, team_id, account_id, smart_link_id, click_id, fan_id, conversion_type, conversion_at,
    amount_gross_cents, amount_net_cents, transaction_id, transaction_type, transaction_status, transaction_description,
    previously_subscribed, purchase, string_to_array(event_keys, chr(31))
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], $9::bigint[], $10::bigint[],
    $11::text[], $12::text[], $13::text[], $14::text[], $15::bool[], $16::text[], $17::text[])
  AS t (conversion_id, team_id, account_id, smart_link_id, click_id, fan_id, conversion_type, conversion_at,
    amount_gross_cents, amount_net_cents, transaction_id, transaction_type, transaction_status, transaction_description,
    previously_subscribed, purchase, event_keys)
ON CONFLICT (conversion_id) DO NOTHING RETURNING conversion_id;

-- name: correct_conversions
-- Stored conversions as believed now. What was delivered stays; the row shows the correction. A further source that says
-- the same is none.
UPDATE conversions c SET smart_link_id = t.smart_link_id, click_id = t.click_id, conversion_at = t.conversion_at,
    amount_gross_cents = t.gross, amount_net_cents = t.net, transaction_type = t.transaction_type,
    transaction_status = t.transaction_status, transaction_description = t.transaction_description,
    previously_subscribed = t.previously_subscribed, purchase = t.purchase,
    event_keys = string_to_array(t.event_keys, chr(31)), retracted_at = NULL,
    corrected_at = CASE
        WHEN (c.click_id, c.conversion_at, c.amount_gross_cents, c.amount_net_cents, c.transaction_type, c.transaction_status,
              c.transaction_description, c.previously_subscribed, c.purchase, c.retracted_at) IS DISTINCT FROM
             (t.click_id, t.conversion_at, t.gross, t.net, t.transaction_type, t.transaction_status,
              t.transaction_description, t.previously_subscribed, t.purchase, NULL::timestamptz) THEN now()
        ELSE c.corrected_at END
FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::bigint[], $6::bigint[], $7::text[], $8::text[], $9::text[],
    $10::bool[], $11::text[], $12::text[])
  AS t (conversion_id, smart_link_id, click_id, conversion_at, gross, net, transaction_type, transaction_status,
    transaction_description, previously_subscribed, purchase, event_keys)
WHERE c.conversion_id = t.conversion_id;

-- name: retract_conversions
-- Believed once, not any more.
UPDATE conversions SET retracted_at = now(), corrected_at = now() WHERE conversion_id = ANY($1::text[]) AND retracted_at IS NULL;

-- name: store_fans
-- What the fold says of the fan himself.
INSERT INTO fans (account_id, fan_id, first_subscribed_at, unattributed_reason)
SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[])
ON CONFLICT (account_id, fan_id) DO UPDATE
SET first_subscribed_at = excluded.first_subscribed_at, unattributed_reason = excluded.unattributed_reason
WHERE (fans.first_subscribed_at, fans.unattributed_reason) IS DISTINCT FROM (excluded.first_subscribed_at, excluded.unattributed_reason);

-- name: click_facts
-- What a postback may say of the clicks behind new conversions. An anonymised address (/24, /48) is nobody's: not told.
SELECT c.click_id, c.ecid, c.fbclid, c.gclid, c.gbraid, c.wbraid, c.ttclid, c.sccid, c.utm_source, c.utm_medium, c.utm_campaign,
       c.utm_term, c.utm_content, c.aff_s1, c.aff_s2, c.aff_s3, c.aff_s4, c.aff_s5, c.country, s.smart_link_id, s.name AS smart_link_name,
       c.clicked_at, CASE WHEN masklen(c.ip) NOT IN (24, 48) THEN host(c.ip) END AS ip, c.user_agent, c.landing_url, c.referrer, c.fbp, c.fbc, c.ttp, c.scid,
       a.account_id, a.provider_account_id, a.platform_user_id, a.username, a.display_name
FROM clicks c JOIN smart_links s USING (smart_link_id) JOIN accounts a ON a.account_id = c.account_id WHERE c.click_id = ANY($1::text[]);

-- name: fan_names
-- Names of the fans of new conversions.
SELECT f.account_id, f.fan_id, f.username, f.name FROM unnest($1::text[], $2::text[]) AS t (account_id, fan_id)
JOIN fans f USING (account_id, fan_id);

-- name: positions
-- How far the click log of these shards is recorded.
SELECT shard, entry_id FROM stream_positions WHERE shard = ANY($1::smallint[]);
