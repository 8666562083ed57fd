-- A visitor is erased: what their clicks told moves to "no value", exactly, and values nobody else has lose their text.
-- Dimensions 5 (referrer host), 11 to 15 (aff_s1 to aff_s5) and 16 (ecid), as in breakdowns.DIMENSIONS.

-- name: hold
-- The rollup job waits, and is waited for.
SELECT pg_advisory_xact_lock($1);

-- name: patience
-- How long.
SELECT set_config('lock_timeout', $1, true);

-- name: take_back
-- What reports hold of the visitor's clicks until then, with the sign turned round. Clicks and visits that are noted and not counted
-- yet will be counted without their values; in hours that are marked a wrong difference does not outlive the mark.
WITH mine AS MATERIALIZED (
    SELECT click_id, smart_link_id, clicked_at, referrer_host(referrer) AS host, aff_s1, aff_s2, aff_s3, aff_s4, aff_s5, ecid
    FROM clicks WHERE account_id = ANY($1::text[]) AND visitor = $2 AND NOT is_bot AND clicked_at <= $3
), noted_clicks AS MATERIALIZED (
    SELECT i.id FROM report_notes n CROSS JOIN LATERAL unnest(string_to_array(n.click_ids, ',')) i (id)
), noted_visits AS MATERIALIZED (
    SELECT i.id FROM report_notes n CROSS JOIN LATERAL unnest(string_to_array(n.visit_ids, ',')) i (id)
), told AS (
    SELECT m.click_id, m.clicked_at AS at, 0 AS counter, 1::bigint AS amount FROM mine m
    WHERE NOT EXISTS (SELECT FROM noted_clicks i WHERE i.id = m.click_id)
    UNION ALL
    SELECT m.click_id, v.visited_at, 1, 1 FROM mine m JOIN visits v USING (click_id)
    WHERE NOT EXISTS (SELECT FROM noted_visits i WHERE i.id = v.visit_id)
    UNION ALL
    SELECT m.click_id, n.conversion_at, k.counter, 1 FROM mine m JOIN conversions n USING (click_id)
    CROSS JOIN LATERAL (VALUES (5), (4)) k (counter)
    WHERE n.retracted_at IS NULL AND n.conversion_type <> 'transaction_status' AND (k.counter = 5 OR n.conversion_type = 'new_subscriber')
    UNION ALL
    SELECT m.click_id, r.conversion_at, k.counter, k.cents FROM mine m JOIN revenue r USING (click_id)
    CROSS JOIN LATERAL (VALUES (6, r.gross_cents), (7, r.net_cents)) k (counter, cents) WHERE k.cents <> 0
)
INSERT INTO seen (smart_link_id, at, counter, amount, d5, d11, d12, d13, d14, d15, d16)
SELECT m.smart_link_id, t.at, t.counter, -t.amount, m.host, m.aff_s1, m.aff_s2, m.aff_s3, m.aff_s4, m.aff_s5, m.ecid
FROM told t JOIN mine m USING (click_id);

-- name: forget_values
-- Values that links of these visitors' clicks list, and nobody has any more, on any link. Their places stay taken: a value that came
-- too late to be listed would not be exact from its first click on.
WITH touched AS MATERIALIZED (
    SELECT DISTINCT smart_link_id FROM clicks WHERE account_id = ANY($1::text[]) AND visitor = ANY($2::text[]) AND NOT is_bot
), used AS MATERIALIZED (
    SELECT DISTINCT u.key >> 3 AS value_id FROM touched t JOIN breakdown_days b ON b.scope_id = t.smart_link_id
    CROSS JOIN LATERAL unnest(b.keys) u (key) WHERE b.dimension IN (5, 11, 12, 13, 14, 15, 16)
), gone AS MATERIALIZED (
    SELECT DISTINCT l.value_id FROM touched t JOIN report_listed l USING (smart_link_id)
    WHERE l.dimension IN (5, 11, 12, 13, 14, 15, 16) AND NOT EXISTS (SELECT FROM used u WHERE u.value_id = l.value_id)
)
UPDATE report_values k SET value = NULL FROM gone g
WHERE k.value_id = g.value_id AND k.value IS NOT NULL AND NOT EXISTS (
    SELECT FROM report_listed l JOIN breakdown_days b ON b.scope_id = l.smart_link_id AND b.dimension = l.dimension
    WHERE l.value_id = k.value_id
      AND b.keys && (SELECT array_agg(k.value_id * 8 + n) FROM generate_series(0, 7) n));
