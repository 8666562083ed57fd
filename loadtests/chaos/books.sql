-- What the chaos run reads to balance its books.

-- name: clicks
-- Every click with the link it was given.
SELECT c.click_id, c.ecid, c.gross_clicks, c.is_bot, c.spilled, i.url FROM clicks c LEFT JOIN inventory_links i USING (inventory_link_id);

-- name: visits
-- Later visits with the link they were given, by their click's ecid.
SELECT v.visit_id, c.ecid, i.url FROM visits v JOIN clicks c USING (click_id) LEFT JOIN inventory_links i ON i.inventory_link_id = v.inventory_link_id;

-- name: orphans
-- Visits whose click is not there.
SELECT count(*)::int AS visits FROM visits v WHERE NOT EXISTS (SELECT 1 FROM clicks c WHERE c.click_id = v.click_id);

-- name: hours
-- The hourly counters, summed.
SELECT coalesce(sum(clicks), 0)::bigint AS clicks, coalesce(sum(gross_clicks), 0)::bigint AS gross_clicks,
       coalesce(sum(bots), 0)::bigint AS bots FROM click_hours;

-- name: rejects
-- Log entries that were not understood.
SELECT reason FROM log_rejects;

-- name: conversions
-- What is believed, with the click's ecid.
SELECT v.conversion_id, v.conversion_type, v.fan_id, v.transaction_id, v.amount_gross_cents, c.ecid, i.url
FROM conversions v LEFT JOIN clicks c USING (click_id) LEFT JOIN inventory_links i USING (inventory_link_id)
WHERE v.retracted_at IS NULL;

-- name: written
-- Every conversion ever written that is told: what was retracted was told too.
SELECT conversion_id FROM conversions WHERE conversion_type <> 'transaction_status';

-- name: events
-- Facts the platform is known to have told.
SELECT kind, fan_id, event_key, at FROM platform_events;

-- name: fans
-- Why a fan is credited to nobody.
SELECT fan_id, unattributed_reason FROM fans;

-- name: deliveries
-- Every delivery with how often it was sent, as far as was written down.
SELECT d.event_id, d.state, d.attempts, d.verdict FROM deliveries d;

-- name: unanswered
-- Events with an attempt that was sent and got no whole answer: it may have arrived, and was made again.
SELECT DISTINCT event_id FROM attempts WHERE status_code IS NULL AND outcome = 'transient';
