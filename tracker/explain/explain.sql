-- What explains a credit. Every query names the team ($1; NULL is the operator at the command line, who may see all).

-- name: fan_accounts
-- Accounts of the team that know this fan; one account when it is named.
SELECT f.account_id, a.username FROM accounts a JOIN fans f USING (account_id)
WHERE ($1::text IS NULL OR a.team_id = $1) AND f.fan_id = $2 AND ($3::text IS NULL OR a.account_id = $3)
ORDER BY f.account_id;

-- name: conversion_fan
-- Whose conversion it is.
SELECT c.account_id, c.fan_id FROM conversions c JOIN accounts a USING (account_id)
WHERE ($1::text IS NULL OR a.team_id = $1) AND c.conversion_id = $2;

-- name: click
-- A click of the team, and the time in which it could be credited.
SELECT c.account_id, c.click_id, c.inventory_link_id, c.clicked_at,
       c.last_visit_at + make_interval(secs => s.window_seconds + 60) AS until
FROM clicks c JOIN accounts a USING (account_id) JOIN smart_links s USING (smart_link_id)
WHERE ($1::text IS NULL OR a.team_id = $1) AND c.click_id = $2;

-- name: click_fans
-- Fans the click was ever credited with, and those who subscribed through its link while it could be credited.
SELECT b.account_id, b.fan_id FROM bindings b JOIN accounts a USING (account_id)
WHERE ($1::text IS NULL OR a.team_id = $1) AND b.click_id = $2
UNION
SELECT c.account_id, c.fan_id FROM conversions c JOIN accounts a USING (account_id)
WHERE ($1::text IS NULL OR a.team_id = $1) AND c.click_id = $2
UNION
SELECT e.account_id, e.fan_id FROM platform_events e JOIN accounts a USING (account_id)
WHERE ($1::text IS NULL OR a.team_id = $1) AND e.inventory_link_id = $3 AND e.kind = 'link_subscriber' AND e.at BETWEEN $4 AND $5
ORDER BY 1, 2 LIMIT $6;

-- name: fans
-- Who they are.
SELECT f.account_id, f.fan_id, f.username, f.name, f.first_subscribed_at, f.unattributed_reason
FROM unnest($2::text[], $3::text[]) AS t (account_id, fan_id)
JOIN fans f USING (account_id, fan_id) JOIN accounts a USING (account_id)
WHERE $1::text IS NULL OR a.team_id = $1 ORDER BY f.account_id, f.fan_id;

-- name: account
-- Whose page it is.
SELECT account_id, username FROM accounts WHERE ($1::text IS NULL OR team_id = $1) AND account_id = $2;

-- name: clicks
-- Clicks with their smart link and the inventory link they were sent to.
SELECT c.click_id, c.account_id, c.smart_link_id, s.name AS smart_link_name, s.window_seconds, c.clicked_at, c.last_visit_at,
       c.gross_clicks, c.visitor, c.visitor_by, c.lease, c.inventory_link_id, i.name AS link_name, i.url AS link_url, c.spilled,
       c.is_bot, c.bot_reason, c.country, c.device_type, c.browser, c.ecid
FROM clicks c JOIN accounts a USING (account_id) JOIN smart_links s USING (smart_link_id)
LEFT JOIN inventory_links i ON i.inventory_link_id = c.inventory_link_id
WHERE ($1::text IS NULL OR a.team_id = $1) AND c.click_id = ANY($2::text[]) ORDER BY c.click_id;

-- name: visits
-- Later visits of these clicks.
SELECT v.click_id, v.visited_at, v.visitor_by, v.inventory_link_id FROM visits v JOIN accounts a USING (account_id)
WHERE ($1::text IS NULL OR a.team_id = $1) AND v.click_id = ANY($2::text[]) ORDER BY v.visited_at, v.visit_id LIMIT $3;

-- name: bindings
-- Everything ever believed of these fans.
SELECT b.account_id, b.fan_id, b.valid_from, b.click_id, b.smart_link_id, b.rule, b.lease, b.confidence, b.competing_clicks,
       b.event_keys, b.believed_at, b.retracted_at
FROM unnest($2::text[], $3::text[]) AS t (account_id, fan_id)
JOIN bindings b USING (account_id, fan_id) JOIN accounts a USING (account_id)
WHERE $1::text IS NULL OR a.team_id = $1 ORDER BY b.valid_from, b.binding_id;

-- name: conversions
-- Conversions of these fans, latest first; one when it is named ($4), a click's when that is named ($5).
SELECT c.conversion_id, c.account_id, c.fan_id, c.conversion_type, c.conversion_at, c.click_id, c.smart_link_id,
       c.amount_gross_cents, c.amount_net_cents, c.transaction_id, c.transaction_type, c.transaction_status,
       c.previously_subscribed, c.purchase, c.event_keys, c.created_at, c.corrected_at, c.retracted_at
FROM unnest($2::text[], $3::text[]) AS t (account_id, fan_id)
JOIN conversions c USING (account_id, fan_id) JOIN accounts a USING (account_id)
WHERE ($1::text IS NULL OR a.team_id = $1) AND ($4::text IS NULL OR c.conversion_id = $4) AND ($5::text IS NULL OR c.click_id = $5)
ORDER BY c.conversion_at DESC, c.conversion_id LIMIT $6;

-- name: deliveries
-- What became of telling the destinations.
SELECT d.event_id, d.destination_id, t.kind, t.name, d.state, d.attempts, d.verdict, d.created_at, d.due_at, d.finished_at
FROM deliveries d JOIN destinations t USING (destination_id)
WHERE ($1::text IS NULL OR t.team_id = $1) AND d.event_id = ANY($2::text[]) ORDER BY d.created_at, d.destination_id;

-- name: events
-- The platform events behind all this, and who told them.
SELECT e.account_id, e.event_key, e.kind, e.at, e.precision_seconds, e.inventory_link_id, e.source, e.first_seen_at
FROM unnest($2::text[], $3::text[]) AS t (account_id, event_key)
JOIN platform_events e USING (account_id, event_key) JOIN accounts a USING (account_id)
WHERE $1::text IS NULL OR a.team_id = $1;
