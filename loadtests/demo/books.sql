-- What the demo reads to balance its books.

-- name: clicks
-- Every click.
SELECT click_id, smart_link_id, fbclid, ecid, gross_clicks, is_bot, inventory_link_id, lease, country, clicked_at FROM clicks ORDER BY click_id;

-- name: hours
-- The hourly counters, summed.
SELECT coalesce(sum(clicks), 0)::bigint AS clicks, coalesce(sum(gross_clicks), 0)::bigint AS gross_clicks,
       coalesce(sum(bots), 0)::bigint AS bots, coalesce(sum(prefetches), 0)::bigint AS prefetches FROM click_hours;

-- name: bindings
-- What is believed now.
SELECT b.fan_id, b.rule, b.confidence, b.competing_clicks, c.fbclid FROM bindings b JOIN clicks c USING (click_id) WHERE b.retracted_at IS NULL;

-- name: conversions
-- What is believed now.
SELECT v.*, c.fbclid FROM conversions v JOIN clicks c USING (click_id) WHERE v.retracted_at IS NULL;

-- name: deliveries
-- Every delivery.
SELECT event_id, state, attempts, verdict FROM deliveries;

-- name: fans
-- Every fan known.
SELECT fan_id, unattributed_reason FROM fans;

-- name: news
-- What happened since: clicks, conversions, deliveries, for the live tail.
SELECT * FROM (
    SELECT c.clicked_at AS at, 'click' AS what, s.name AS link, c.click_id AS id,
           concat_ws(' ', c.country, c.browser, CASE WHEN c.is_bot THEN 'bot: ' || c.bot_reason END, 'lease ' || c.lease) AS words
    FROM clicks c JOIN smart_links s USING (smart_link_id) WHERE c.clicked_at > $1
    UNION ALL
    SELECT v.created_at, v.conversion_type, s.name, v.conversion_id,
           concat_ws(' ', 'fan ' || v.fan_id, '$' || round(v.amount_gross_cents / 100.0, 2), 'click ' || v.click_id)
    FROM conversions v JOIN smart_links s USING (smart_link_id) WHERE v.created_at > $1
    UNION ALL
    SELECT a.started_at, 'postback', d.kind, a.event_id, a.verdict || ' in ' || a.duration_ms || ' ms'
    FROM attempts a JOIN destinations d USING (destination_id) WHERE a.started_at > $1
) news ORDER BY at LIMIT 200;
