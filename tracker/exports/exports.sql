-- Rows of exports, a page at a time. Each kind walks its groups (smart links, accounts, destinations) in the order of their
-- ids, and inside a group along an index, so that a page costs the same at the beginning and at the end of 50 million rows.
-- $1: the group; $2..: where in it to go on; then the range [from, to) and what the kind filters by; last the page's size.

-- name: accounts
-- The team's accounts.
SELECT a.account_id FROM accounts a
WHERE a.team_id = $1 AND ($3::text[] IS NULL OR a.account_id = ANY($3))
  AND ($2::text[] IS NULL OR EXISTS (SELECT FROM smart_links s WHERE s.account_id = a.account_id AND s.smart_link_id = ANY($2)))
ORDER BY a.account_id;

-- name: destinations
-- The team's destinations, deleted ones included.
SELECT d.destination_id FROM destinations d WHERE d.team_id = $1 ORDER BY d.destination_id;

-- name: clicks
-- A link's clicks by their ids, which sort by time; $3 and $4 bound the ids, $5 and $6 the moments, $7: bots too.
SELECT c.click_id, c.clicked_at, c.last_visit_at, c.gross_clicks, c.smart_link_id, s.name AS smart_link_name, c.account_id,
       c.visitor, c.visitor_by, c.lease, c.is_bot, c.bot_reason, abbrev(c.ip) AS ip, c.country, c.device_type, c.os, c.browser,
       c.browser_version, c.user_agent, c.accept_language, c.referrer, c.landing_url, c.ecid, c.utm_source, c.utm_medium,
       c.utm_campaign, c.utm_term, c.utm_content, c.aff_s1, c.aff_s2, c.aff_s3, c.aff_s4, c.aff_s5, c.fbclid, c.ttclid, c.sccid,
       c.gclid, c.gbraid, c.wbraid, c.fbp, c.fbc, c.ttp, c.scid, c.other_params
FROM clicks c JOIN smart_links s ON s.smart_link_id = c.smart_link_id
WHERE c.smart_link_id = $1 AND c.click_id > $2 AND c.click_id >= $3 AND c.click_id < $4
  AND c.clicked_at >= $5 AND c.clicked_at < $6 AND ($7::bool OR NOT c.is_bot)
ORDER BY c.click_id LIMIT $8;

-- name: conversions
-- A link's conversions by their time; $6: those no longer believed too.
SELECT v.conversion_id, v.conversion_type, v.conversion_at, v.smart_link_id, s.name AS smart_link_name, v.account_id, v.click_id,
       c.ecid, c.country, v.fan_id, f.username AS fan_username, f.name AS fan_name, v.amount_gross_cents AS amount_gross,
       v.amount_net_cents AS amount_net, v.transaction_id, v.transaction_type, v.transaction_status, v.transaction_description,
       v.previously_subscribed, v.purchase, v.created_at, v.corrected_at, v.retracted_at
FROM conversions v
JOIN smart_links s ON s.smart_link_id = v.smart_link_id
JOIN fans f ON f.account_id = v.account_id AND f.fan_id = v.fan_id
LEFT JOIN LATERAL (SELECT k.ecid, k.country FROM clicks k WHERE k.click_id = v.click_id) c ON true
WHERE v.smart_link_id = $1 AND (v.conversion_at, v.conversion_id) > ($2, $3) AND v.conversion_at >= $4 AND v.conversion_at < $5
  AND ($6::bool OR v.retracted_at IS NULL)
ORDER BY v.conversion_at, v.conversion_id LIMIT $7;

-- name: fans
-- An account's fans by their ids, with the click they belong to now and what was credited for them; the range is of the first
-- subscription, or of when the fan was first heard of. $5: only fans credited to these smart links (NULL: all fans).
SELECT f.fan_id, f.username, f.name, f.account_id, f.first_subscribed_at, f.first_seen_at, b.smart_link_id,
       s.name AS smart_link_name, b.click_id, b.valid_from AS bound_at, b.rule, b.lease, b.confidence, f.unattributed_reason,
       r.payments, r.gross AS revenue_gross, r.net AS revenue_net, r.last_payment_at
FROM fans f
LEFT JOIN LATERAL (
    SELECT b.smart_link_id, b.click_id, b.valid_from, b.rule, b.lease, b.confidence FROM bindings b
    WHERE b.account_id = f.account_id AND b.fan_id = f.fan_id AND b.retracted_at IS NULL ORDER BY b.valid_from DESC LIMIT 1
) b ON true
LEFT JOIN smart_links s ON s.smart_link_id = b.smart_link_id
CROSS JOIN LATERAL (
    SELECT count(*) AS payments, coalesce(sum(v.gross_cents), 0)::bigint AS gross, coalesce(sum(v.net_cents), 0)::bigint AS net,
           max(v.conversion_at) AS last_payment_at
    FROM revenue v WHERE v.account_id = f.account_id AND v.fan_id = f.fan_id
) r
WHERE f.account_id = $1 AND f.fan_id > $2 AND coalesce(f.first_subscribed_at, f.first_seen_at) >= $3
  AND coalesce(f.first_subscribed_at, f.first_seen_at) < $4 AND ($5::text[] IS NULL OR b.smart_link_id = ANY($5))
ORDER BY f.fan_id LIMIT $6;

-- name: deliveries
-- A destination's deliveries by when they were written; $6: in these states (NULL: in any).
SELECT d.event_id, d.destination_id, t.name AS destination_name, t.kind AS destination_kind, e.event_type, e.occurred_at,
       e.facts->>'smart_link_id' AS smart_link_id, d.state, d.attempts, d.verdict, d.created_at, d.due_at, d.finished_at
FROM deliveries d
JOIN destinations t ON t.destination_id = d.destination_id
LEFT JOIN delivery_events e ON e.event_id = d.event_id AND e.day = d.day
WHERE d.destination_id = $1 AND (d.created_at, d.event_id) > ($2, $3) AND d.created_at >= $4 AND d.created_at < $5
  AND ($6::text[] IS NULL OR d.state = ANY($6))
ORDER BY d.created_at, d.event_id LIMIT $7;
