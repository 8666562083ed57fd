-- The rollup job: count what was noted, count marked hours anew, add the difference to every scope. One writer at a time.
-- `seen` holds what happened, one row per counter it moves: 0 click, 1 duplicate, 2 bot, 3 prefetch, 4 subscriber, 5 conversion,
-- 6 gross cents, 7 net cents. d1 to d17: the click's value of each dimension, in the order of breakdowns.DIMENSIONS.

-- name: workspace
-- What one run works on, emptied when it ends.
CREATE TEMP TABLE IF NOT EXISTS noted (click_ids text, visit_ids text, prefetch_links text[], prefetch_times timestamptz[]) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS anew (kind text, smart_link_id text COLLATE "C", hour timestamptz, from_id text COLLATE "C",
    to_id text COLLATE "C", PRIMARY KEY (kind, smart_link_id, hour)) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS seen (smart_link_id text COLLATE "C", at timestamptz, counter smallint, amount bigint,
    d1 text COLLATE "C", d2 text COLLATE "C", d3 text COLLATE "C", d4 text COLLATE "C", d5 text COLLATE "C",
    d6 text COLLATE "C", d7 text COLLATE "C", d8 text COLLATE "C", d9 text COLLATE "C", d10 text COLLATE "C",
    d11 text COLLATE "C", d12 text COLLATE "C", d13 text COLLATE "C", d14 text COLLATE "C", d15 text COLLATE "C",
    d16 text COLLATE "C", d17 text COLLATE "C") ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS counted (smart_link_id text COLLATE "C", start timestamptz, clicks bigint, duplicates bigint, bots bigint, prefetches bigint, subscribers bigint, conversions bigint,
    gross_cents bigint, net_cents bigint) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS valued (smart_link_id text COLLATE "C", hour timestamptz, dimension smallint, value text COLLATE "C",
    counter smallint, amount bigint) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS fresh (smart_link_id text COLLATE "C", dimension smallint, value text COLLATE "C") ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS keyed (smart_link_id text COLLATE "C", hour timestamptz, dimension smallint, key integer, amount bigint) ON COMMIT DELETE ROWS;

-- name: plan_by_index
-- The workspace has no statistics that would say so.
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
       set_config('jit', 'off', true), set_config('work_mem', '64MB', true);

-- name: waiting
-- Whether there is anything to do.
SELECT EXISTS (SELECT FROM report_notes) OR EXISTS (SELECT FROM report_marks);

-- name: as_of
-- Everything noted before this moment is counted.
SELECT least((SELECT noted_at FROM report_notes ORDER BY note_id LIMIT 1), (SELECT noted_at FROM report_marks ORDER BY mark_id LIMIT 1), now());

-- name: take_notes
-- The oldest notes; they are gone when, and only when, this run is committed.
WITH gone AS (
    DELETE FROM report_notes WHERE note_id IN (SELECT note_id FROM report_notes ORDER BY note_id LIMIT $1)
    RETURNING click_ids, visit_ids, prefetch_links, prefetch_times
), kept AS (INSERT INTO noted SELECT * FROM gone RETURNING 1)
SELECT count(*) FROM kept;

-- name: take_marks
-- The oldest marks. Marked clicks only when every note this run can see is taken: what a note tells is in the rows already.
WITH gone AS (
    DELETE FROM report_marks WHERE mark_id IN (
        SELECT mark_id FROM report_marks WHERE kind = 'sales' OR $2 ORDER BY mark_id LIMIT $1)
    RETURNING kind, smart_link_id, hour
), kept AS (
    -- Clicks of a thinned month, and visits whose clicks were in one (a window is at most 30 days), cannot be counted anew: their
    -- counts stand. Clicks that conversions name are kept, so sales can.
    INSERT INTO anew SELECT kind, smart_link_id, hour, ulid_from(hour - interval '1 minute'), ulid_from(hour + interval '61 minutes')
    FROM (SELECT DISTINCT kind, smart_link_id, hour FROM gone) g
    WHERE kind = 'sales' OR NOT EXISTS (
        SELECT FROM (VALUES (hour), (hour - interval '30 days')) m (at)
        WHERE obj_description(to_regclass(to_char(m.at AT TIME ZONE 'UTC', '"clicks_"YYYY_MM')), 'pg_class') = 'thinned')
    RETURNING 1
)
SELECT count(*) FROM gone;

-- name: see_clicks
-- Clicks that were noted.
INSERT INTO seen SELECT c.smart_link_id, c.clicked_at, CASE WHEN c.is_bot THEN 2 ELSE 0 END, 1,
       c.country, c.device_type, c.browser, c.os, referrer_host(c.referrer), c.utm_source, c.utm_medium,
       c.utm_campaign, c.utm_term, c.utm_content, c.aff_s1, c.aff_s2, c.aff_s3, c.aff_s4, c.aff_s5, c.ecid, c.lease
FROM noted n CROSS JOIN LATERAL unnest(string_to_array(n.click_ids, ',')) i (id) JOIN clicks c ON c.click_id = i.id
WHERE NOT EXISTS (SELECT FROM anew a WHERE a.kind = 'clicks' AND a.smart_link_id = c.smart_link_id
                  AND a.hour = date_trunc('hour', c.clicked_at, 'UTC'));

-- name: see_visits
-- Later visits that were noted; one whose click is not stored yet is counted when the click comes, by a mark.
INSERT INTO seen SELECT c.smart_link_id, v.visited_at, 1, 1,
       c.country, c.device_type, c.browser, c.os, referrer_host(c.referrer), c.utm_source, c.utm_medium,
       c.utm_campaign, c.utm_term, c.utm_content, c.aff_s1, c.aff_s2, c.aff_s3, c.aff_s4, c.aff_s5, c.ecid, c.lease
FROM noted n CROSS JOIN LATERAL unnest(string_to_array(n.visit_ids, ',')) i (id)
JOIN visits v ON v.visit_id = i.id JOIN clicks c ON c.click_id = v.click_id
WHERE NOT EXISTS (SELECT FROM anew a WHERE a.kind = 'clicks' AND a.smart_link_id = c.smart_link_id
                  AND a.hour = date_trunc('hour', v.visited_at, 'UTC'));

-- name: see_prefetches
-- Refused speculative loads that were noted.
INSERT INTO seen (smart_link_id, at, counter, amount)
SELECT p.smart_link_id, p.at, 3, 1 FROM noted n CROSS JOIN LATERAL unnest(n.prefetch_links, n.prefetch_times) p (smart_link_id, at);

-- name: see_clicks_anew
-- All clicks of the marked hours.
INSERT INTO seen SELECT c.smart_link_id, c.clicked_at, CASE WHEN c.is_bot THEN 2 ELSE 0 END, 1,
       c.country, c.device_type, c.browser, c.os, referrer_host(c.referrer), c.utm_source, c.utm_medium,
       c.utm_campaign, c.utm_term, c.utm_content, c.aff_s1, c.aff_s2, c.aff_s3, c.aff_s4, c.aff_s5, c.ecid, c.lease
FROM anew a JOIN clicks c ON c.smart_link_id = a.smart_link_id AND c.click_id >= a.from_id AND c.click_id < a.to_id
WHERE a.kind = 'clicks' AND c.clicked_at >= a.hour AND c.clicked_at < a.hour + interval '1 hour';

-- name: see_visits_anew
-- All later visits in the marked hours.
INSERT INTO seen SELECT c.smart_link_id, v.visited_at, 1, 1,
       c.country, c.device_type, c.browser, c.os, referrer_host(c.referrer), c.utm_source, c.utm_medium,
       c.utm_campaign, c.utm_term, c.utm_content, c.aff_s1, c.aff_s2, c.aff_s3, c.aff_s4, c.aff_s5, c.ecid, c.lease
FROM (SELECT DISTINCT hour, from_id, to_id FROM anew WHERE kind = 'clicks') h
JOIN visits v ON v.visit_id >= h.from_id AND v.visit_id < h.to_id AND v.visited_at >= h.hour AND v.visited_at < h.hour + interval '1 hour'
JOIN clicks c ON c.click_id = v.click_id
JOIN anew a ON a.kind = 'clicks' AND a.smart_link_id = c.smart_link_id AND a.hour = h.hour;

-- name: see_conversions
-- All conversions of the marked hours, with the values of the clicks they are credited to.
INSERT INTO seen SELECT n.smart_link_id, n.conversion_at, k.counter, 1,
       c.country, c.device_type, c.browser, c.os, referrer_host(c.referrer), c.utm_source, c.utm_medium,
       c.utm_campaign, c.utm_term, c.utm_content, c.aff_s1, c.aff_s2, c.aff_s3, c.aff_s4, c.aff_s5, c.ecid, c.lease
FROM anew a JOIN conversions n ON n.smart_link_id = a.smart_link_id AND n.conversion_at >= a.hour AND n.conversion_at < a.hour + interval '1 hour'
LEFT JOIN clicks c ON c.click_id = n.click_id
CROSS JOIN LATERAL (VALUES (5), (4)) k (counter)
WHERE a.kind = 'sales' AND n.retracted_at IS NULL AND n.conversion_type <> 'transaction_status'
  AND (k.counter = 5 OR n.conversion_type = 'new_subscriber');

-- name: see_revenue
-- All payments of the marked hours, less what was taken back of them.
INSERT INTO seen SELECT r.smart_link_id, r.conversion_at, k.counter, k.cents,
       c.country, c.device_type, c.browser, c.os, referrer_host(c.referrer), c.utm_source, c.utm_medium,
       c.utm_campaign, c.utm_term, c.utm_content, c.aff_s1, c.aff_s2, c.aff_s3, c.aff_s4, c.aff_s5, c.ecid, c.lease
FROM anew a JOIN revenue r ON r.smart_link_id = a.smart_link_id AND r.conversion_at >= a.hour AND r.conversion_at < a.hour + interval '1 hour'
LEFT JOIN clicks c ON c.click_id = r.click_id
CROSS JOIN LATERAL (VALUES (6, r.gross_cents), (7, r.net_cents)) k (counter, cents)
WHERE a.kind = 'sales' AND k.cents <> 0;

-- name: forget_spenders
-- The spenders of the marked hours, before they are told anew.
DELETE FROM report_spenders p USING anew a
WHERE a.kind = 'sales' AND p.smart_link_id = a.smart_link_id AND p.start >= a.hour AND p.start < a.hour + interval '1 hour';

-- name: tell_spenders
-- The spenders of the marked hours.
INSERT INTO report_spenders (smart_link_id, start, fan)
SELECT DISTINCT r.smart_link_id, date_bin('15 minutes', r.conversion_at, 'epoch'), hashtextextended(r.account_id || ' ' || r.fan_id, 0)
FROM anew a JOIN revenue r ON r.smart_link_id = a.smart_link_id AND r.conversion_at >= a.hour AND r.conversion_at < a.hour + interval '1 hour'
WHERE a.kind = 'sales' AND r.gross_cents > 0;

-- name: count
-- What was seen per quarter of an hour, less what the marked hours were told to hold so far.
INSERT INTO counted
SELECT smart_link_id, date_bin('15 minutes', at, 'epoch'), coalesce(sum(amount) FILTER (WHERE counter = 0), 0), coalesce(sum(amount) FILTER (WHERE counter = 1), 0),
       coalesce(sum(amount) FILTER (WHERE counter = 2), 0), coalesce(sum(amount) FILTER (WHERE counter = 3), 0),
       coalesce(sum(amount) FILTER (WHERE counter = 4), 0), coalesce(sum(amount) FILTER (WHERE counter = 5), 0),
       coalesce(sum(amount) FILTER (WHERE counter = 6), 0), coalesce(sum(amount) FILTER (WHERE counter = 7), 0)
FROM seen GROUP BY 1, 2
UNION ALL
SELECT q.scope_id, q.start, -q.clicks, -q.duplicates, -q.bots, 0, 0, 0, 0, 0
FROM anew a JOIN report_quarters q ON q.scope_id = a.smart_link_id AND q.start >= a.hour AND q.start < a.hour + interval '1 hour'
WHERE a.kind = 'clicks'
UNION ALL
SELECT q.scope_id, q.start, 0, 0, 0, 0, -q.subscribers, -q.conversions, -q.gross_cents, -q.net_cents
FROM anew a JOIN report_quarters q ON q.scope_id = a.smart_link_id AND q.start >= a.hour AND q.start < a.hour + interval '1 hour'
WHERE a.kind = 'sales';

-- name: add_quarters
-- To the link, its account and its team.
INSERT INTO report_quarters AS r (scope_id, start, clicks, duplicates, bots, prefetches, subscribers, conversions, gross_cents, net_cents)
SELECT x.scope_id, n.start, sum(clicks), sum(duplicates), sum(bots), sum(prefetches), sum(subscribers), sum(conversions), sum(gross_cents),
       sum(net_cents)
FROM counted n JOIN smart_links s USING (smart_link_id)
CROSS JOIN LATERAL (VALUES (s.smart_link_id), (s.account_id), (s.team_id)) x (scope_id)
GROUP BY 1, 2
ON CONFLICT (scope_id, start) DO UPDATE SET clicks = r.clicks + excluded.clicks, duplicates = r.duplicates + excluded.duplicates,
    bots = r.bots + excluded.bots, prefetches = r.prefetches + excluded.prefetches,
    subscribers = r.subscribers + excluded.subscribers, conversions = r.conversions + excluded.conversions,
    gross_cents = r.gross_cents + excluded.gross_cents, net_cents = r.net_cents + excluded.net_cents;

-- name: add_days
-- The same per day.
INSERT INTO report_days AS r (scope_id, start, clicks, duplicates, bots, prefetches, subscribers, conversions, gross_cents, net_cents)
SELECT x.scope_id, date_trunc('day', n.start, 'UTC'), sum(clicks), sum(duplicates), sum(bots), sum(prefetches), sum(subscribers), sum(conversions), sum(gross_cents),
       sum(net_cents)
FROM counted n JOIN smart_links s USING (smart_link_id)
CROSS JOIN LATERAL (VALUES (s.smart_link_id), (s.account_id), (s.team_id)) x (scope_id)
GROUP BY 1, 2
ON CONFLICT (scope_id, start) DO UPDATE SET clicks = r.clicks + excluded.clicks, duplicates = r.duplicates + excluded.duplicates,
    bots = r.bots + excluded.bots, prefetches = r.prefetches + excluded.prefetches,
    subscribers = r.subscribers + excluded.subscribers, conversions = r.conversions + excluded.conversions,
    gross_cents = r.gross_cents + excluded.gross_cents, net_cents = r.net_cents + excluded.net_cents;

-- name: value
-- What was seen per hour and value of each dimension. Names that stand for erased ones are no values.
INSERT INTO valued
SELECT smart_link_id, date_trunc('hour', at, 'UTC'), d.dimension, left(d.value, 200), counter, sum(amount)
FROM seen CROSS JOIN LATERAL (VALUES
        (1, d1), (2, d2), (3, d3), (4, d4), (5, d5), (6, d6), (7, d7), (8, d8), (9, d9), (10, d10), (11, d11), (12,
        d12), (13, d13), (14, d14), (15, d15), (16, d16), (17, d17)
    ) d (dimension, value)
WHERE counter <> 3 AND d.value <> '' AND NOT starts_with(d.value, 'erased:') GROUP BY 1, 2, 3, 4, 5;

-- name: choose_values
-- Values a link has not had before, as many as it has room for.
WITH unlisted AS (
    SELECT DISTINCT v.smart_link_id, v.dimension, v.value FROM valued v
    WHERE NOT EXISTS (SELECT FROM report_values k JOIN report_listed l ON l.smart_link_id = v.smart_link_id
                      AND l.dimension = v.dimension AND l.value_id = k.value_id
                      WHERE k.dimension = v.dimension AND k.value = v.value)
), room AS (
    SELECT u.smart_link_id, u.dimension, $1::bigint - (SELECT count(*) FROM report_listed l
           WHERE l.smart_link_id = u.smart_link_id AND l.dimension = u.dimension) AS places
    FROM (SELECT DISTINCT smart_link_id, dimension FROM unlisted) u
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY smart_link_id, dimension ORDER BY value) AS place FROM unlisted
)
INSERT INTO fresh SELECT r.smart_link_id, r.dimension, r.value FROM ranked r JOIN room USING (smart_link_id, dimension)
WHERE r.place <= room.places;

-- name: number_values
-- A number for each value nobody had before.
INSERT INTO report_values (dimension, value)
SELECT DISTINCT dimension, value FROM fresh f
WHERE NOT EXISTS (SELECT FROM report_values k WHERE k.dimension = f.dimension AND k.value = f.value);

-- name: list_values
-- From now on told one by one for this link.
INSERT INTO report_listed SELECT f.smart_link_id, f.dimension, k.value_id
FROM fresh f JOIN report_values k ON k.dimension = f.dimension AND k.value = f.value;

-- name: key
-- Values as numbers, less what the marked hours were told to hold so far.
INSERT INTO keyed
SELECT v.smart_link_id, v.hour, v.dimension, coalesce(k.value_id, v.dimension) * 8 + v.counter, v.amount
FROM valued v LEFT JOIN LATERAL (
    SELECT l.value_id FROM report_values k JOIN report_listed l ON l.smart_link_id = v.smart_link_id
       AND l.dimension = v.dimension AND l.value_id = k.value_id
    WHERE k.dimension = v.dimension AND k.value = v.value
) k ON true
UNION ALL
SELECT b.scope_id, b.hour, k.dimension, u.key, -u.amount
FROM anew a JOIN breakdown_hours b ON b.scope_id = a.smart_link_id AND b.hour = a.hour
CROSS JOIN LATERAL unnest(b.keys, b.amounts) u (key, amount) JOIN report_values k ON k.value_id = u.key >> 3
WHERE CASE a.kind WHEN 'clicks' THEN (u.key & 7) < 3 ELSE (u.key & 7) > 3 END;

-- name: plan_freely
-- Grouping wants its hash tables back.
SELECT set_config('enable_hashjoin', 'on', true);

-- name: add_breakdown_hours
-- To the link, its account and its team.
WITH changes AS (
    SELECT x.scope_id, n.hour, key, sum(amount) AS amount FROM keyed n JOIN smart_links s USING (smart_link_id)
    CROSS JOIN LATERAL (VALUES (s.smart_link_id), (s.account_id), (s.team_id)) x (scope_id)
    GROUP BY 1, 2, 3
), merged AS (
    SELECT scope_id, hour, key, sum(amount)::bigint AS amount FROM (
        SELECT scope_id, hour, key, amount FROM changes
        UNION ALL
        SELECT b.scope_id, b.hour, u.key, u.amount FROM (SELECT DISTINCT scope_id, hour FROM changes) o
        JOIN breakdown_hours b USING (scope_id, hour) CROSS JOIN LATERAL unnest(b.keys, b.amounts) u (key, amount)
    ) parts GROUP BY 1, 2, 3
)
INSERT INTO breakdown_hours (scope_id, hour, keys, amounts)
SELECT scope_id, hour, coalesce(array_agg(key ORDER BY key) FILTER (WHERE amount <> 0), '{}'),
       coalesce(array_agg(amount ORDER BY key) FILTER (WHERE amount <> 0), '{}')
FROM merged GROUP BY 1, 2
ON CONFLICT (scope_id, hour) DO UPDATE SET keys = excluded.keys, amounts = excluded.amounts;

-- name: add_breakdown_days
-- The same per dimension and day.
WITH changes AS (
    SELECT x.scope_id, n.dimension, date_trunc('day', n.hour, 'UTC') AS day, key, sum(amount) AS amount FROM keyed n JOIN smart_links s USING (smart_link_id)
    CROSS JOIN LATERAL (VALUES (s.smart_link_id), (s.account_id), (s.team_id)) x (scope_id)
    GROUP BY 1, 2, 3, 4
), merged AS (
    SELECT scope_id, dimension, day, key, sum(amount)::bigint AS amount FROM (
        SELECT scope_id, dimension, day, key, amount FROM changes
        UNION ALL
        SELECT b.scope_id, b.dimension, b.day, u.key, u.amount FROM (SELECT DISTINCT scope_id, dimension, day FROM changes) o
        JOIN breakdown_days b USING (scope_id, dimension, day) CROSS JOIN LATERAL unnest(b.keys, b.amounts) u (key, amount)
    ) parts GROUP BY 1, 2, 3, 4
)
INSERT INTO breakdown_days (scope_id, dimension, day, keys, amounts)
SELECT scope_id, dimension, day, coalesce(array_agg(key ORDER BY key) FILTER (WHERE amount <> 0), '{}'),
       coalesce(array_agg(amount ORDER BY key) FILTER (WHERE amount <> 0), '{}')
FROM merged GROUP BY 1, 2, 3
ON CONFLICT (scope_id, dimension, day) DO UPDATE SET keys = excluded.keys, amounts = excluded.amounts;
