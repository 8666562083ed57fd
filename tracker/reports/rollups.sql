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

CREATE TEMP TABLE IF NOT EXISTS fans_anew (account_id text, fan_id text, fan bigint) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS cohorts (smart_link_id text COLLATE "C", start timestamptz, fan bigint, subscribers integer, gross_0 bigint, gross_1 bigint, gross_3 bigint, gross_7 bigint, gross_14 bigint, gross_30 bigint, gross_60 bigint, gross_90 bigint, gross_180 bigint, gross_365 bigint, net_0 bigint, net_1 bigint, net_3 bigint, net_7 bigint, net_14 bigint, net_30 bigint, net_60 bigint, net_90 bigint, net_180 bigint, net_365 bigint) ON COMMIT DELETE ROWS;

-- name: plan_by_index
-- The workspace has no statistics that would say so.
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
       set_config('jit', 'off', true), set_config('work_mem', '64MB', true);

-- name: waiting
-- Whether there is anything to do.
SELECT EXISTS (SELECT FROM report_notes) OR EXISTS (SELECT FROM report_marks) OR EXISTS (SELECT FROM report_fan_marks);

-- name: as_of
-- Everything noted before this moment is counted.
SELECT least((SELECT noted_at FROM report_notes ORDER BY note_id LIMIT 1), (SELECT noted_at FROM report_marks ORDER BY mark_id LIMIT 1),
    (SELECT noted_at FROM report_fan_marks ORDER BY mark_id LIMIT 1), now());

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

-- name: take_fans
-- Fans marked for their cohorts, the oldest marks.
WITH gone AS (
    DELETE FROM report_fan_marks WHERE mark_id IN (SELECT mark_id FROM report_fan_marks ORDER BY mark_id LIMIT $1)
    RETURNING account_id, fan_id
), kept AS (
    INSERT INTO fans_anew SELECT DISTINCT account_id, fan_id, hashtextextended(account_id || ' ' || fan_id, 0) FROM gone RETURNING 1
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
SELECT v.smart_link_id, v.hour, v.dimension, coalesce(l.value_id, v.dimension) * 8 + v.counter, v.amount
FROM valued v LEFT JOIN report_values k ON k.dimension = v.dimension AND k.value = v.value
LEFT JOIN report_listed l ON l.smart_link_id = v.smart_link_id AND l.dimension = v.dimension AND l.value_id = k.value_id
UNION ALL
SELECT b.scope_id, b.hour, k.dimension, u.key, -u.amount
FROM anew a JOIN breakdown_hours b ON b.scope_id = a.smart_link_id AND b.hour = a.hour
CROSS JOIN LATERAL unnest(b.keys, b.amounts) u (key, amount) JOIN report_values k ON k.value_id = u.key >> 3
WHERE CASE a.kind WHEN 'clicks' THEN (u.key & 7) < 3 ELSE (u.key & 7) > 3 END;

-- name: plan_freely
-- Grouping wants its hash tables back.
SELECT set_config('enable_hashjoin', 'on', true);

-- name: add_breakdown_hours
-- To the link, its account and its team. Rows are numbered (`place`): millions of entries are told apart by two numbers.
WITH changes AS (
    SELECT x.scope_id, n.hour, key, sum(amount) AS amount FROM keyed n JOIN smart_links s USING (smart_link_id)
    CROSS JOIN LATERAL (VALUES (s.smart_link_id), (s.account_id), (s.team_id)) x (scope_id)
    GROUP BY 1, 2, 3
), touched AS MATERIALIZED (
    SELECT *, row_number() OVER () AS place FROM (SELECT DISTINCT scope_id, hour FROM changes) c
), merged AS (
    SELECT place, key, sum(amount)::bigint AS amount FROM (
        SELECT place, key, amount FROM changes JOIN touched USING (scope_id, hour)
        UNION ALL
        SELECT place, unnest(b.keys), unnest(b.amounts) FROM touched JOIN breakdown_hours b USING (scope_id, hour)
    ) parts GROUP BY 1, 2
), packed AS (
    SELECT place, coalesce(array_agg(key ORDER BY key) FILTER (WHERE amount <> 0), '{}') AS keys,
           coalesce(array_agg(amount ORDER BY key) FILTER (WHERE amount <> 0), '{}') AS amounts
    FROM merged GROUP BY 1
)
INSERT INTO breakdown_hours (scope_id, hour, keys, amounts)
SELECT scope_id, hour, keys, amounts FROM packed JOIN touched USING (place)
ON CONFLICT (scope_id, hour) DO UPDATE SET keys = excluded.keys, amounts = excluded.amounts;

-- name: add_breakdown_days
-- The same per dimension and day.
WITH changes AS (
    SELECT x.scope_id, n.dimension, date_trunc('day', n.hour, 'UTC') AS day, key, sum(amount) AS amount FROM keyed n JOIN smart_links s USING (smart_link_id)
    CROSS JOIN LATERAL (VALUES (s.smart_link_id), (s.account_id), (s.team_id)) x (scope_id)
    GROUP BY 1, 2, 3, 4
), touched AS MATERIALIZED (
    SELECT *, row_number() OVER () AS place FROM (SELECT DISTINCT scope_id, dimension, day FROM changes) c
), merged AS (
    SELECT place, key, sum(amount)::bigint AS amount FROM (
        SELECT place, key, amount FROM changes JOIN touched USING (scope_id, dimension, day)
        UNION ALL
        SELECT place, unnest(b.keys), unnest(b.amounts) FROM touched JOIN breakdown_days b USING (scope_id, dimension, day)
    ) parts GROUP BY 1, 2
), packed AS (
    SELECT place, coalesce(array_agg(key ORDER BY key) FILTER (WHERE amount <> 0), '{}') AS keys,
           coalesce(array_agg(amount ORDER BY key) FILTER (WHERE amount <> 0), '{}') AS amounts
    FROM merged GROUP BY 1
)
INSERT INTO breakdown_days (scope_id, dimension, day, keys, amounts)
SELECT scope_id, dimension, day, keys, amounts FROM packed JOIN touched USING (place)
ON CONFLICT (scope_id, dimension, day) DO UPDATE SET keys = excluded.keys, amounts = excluded.amounts;

-- name: add_breakdown_blocks
-- The same per block of days, where blocks are made already.
WITH changes AS (
    SELECT x.scope_id, n.dimension, c.days, date_bin(make_interval(days => c.days), n.hour, 'epoch') AS start, key, sum(amount) AS amount
    FROM keyed n JOIN report_closed c ON n.hour < c.until AND c.days > 1 JOIN smart_links s USING (smart_link_id)
    CROSS JOIN LATERAL (VALUES (s.smart_link_id), (s.account_id), (s.team_id)) x (scope_id)
    GROUP BY 1, 2, 3, 4, 5
), touched AS MATERIALIZED (
    SELECT *, row_number() OVER () AS place FROM (SELECT DISTINCT scope_id, dimension, days, start FROM changes) c
), merged AS (
    SELECT place, key, sum(amount)::bigint AS amount FROM (
        SELECT place, key, amount FROM changes JOIN touched USING (scope_id, dimension, days, start)
        UNION ALL
        SELECT place, unnest(b.keys), unnest(b.amounts) FROM touched JOIN breakdown_blocks b USING (scope_id, dimension, days, start)
    ) parts GROUP BY 1, 2
), packed AS (
    SELECT place, coalesce(array_agg(key ORDER BY key) FILTER (WHERE amount <> 0), '{}') AS keys,
           coalesce(array_agg(amount ORDER BY key) FILTER (WHERE amount <> 0), '{}') AS amounts
    FROM merged GROUP BY 1
)
INSERT INTO breakdown_blocks (scope_id, dimension, days, start, keys, amounts)
SELECT scope_id, dimension, days, start, keys, amounts FROM packed JOIN touched USING (place)
ON CONFLICT (scope_id, dimension, days, start) DO UPDATE SET keys = excluded.keys, amounts = excluded.amounts;

-- name: closable
-- The next block of $1 days that is over, and whether what it is made of is there; late notes and marks change it like any other.
SELECT since, since + make_interval(days => $1) AS until FROM (
    SELECT coalesce(c.until, date_bin('64 days', (SELECT min(start) FROM report_days), 'epoch')) AS since FROM report_closed c WHERE c.days = $1
) c WHERE since + make_interval(days => $1) <= now() - interval '2 days'
  AND ($1 = 8 OR since + make_interval(days => $1) <= (SELECT until FROM report_closed WHERE days = 8));

-- name: close_8
-- Blocks of 8 days from their days.
INSERT INTO breakdown_blocks (scope_id, dimension, days, start, keys, amounts)
SELECT scope_id, dimension, 8, $1::timestamptz, array_agg(key ORDER BY key), array_agg(amount ORDER BY key) FROM (
    SELECT b.scope_id, b.dimension, u.key, sum(u.amount)::bigint AS amount
    FROM breakdown_days b CROSS JOIN LATERAL unnest(b.keys, b.amounts) u (key, amount)
    WHERE b.day >= $1 AND b.day < $2 GROUP BY 1, 2, 3
) cells WHERE amount <> 0 GROUP BY 1, 2;

-- name: close_64
-- Blocks of 64 days from those of 8.
INSERT INTO breakdown_blocks (scope_id, dimension, days, start, keys, amounts)
SELECT scope_id, dimension, 64, $1::timestamptz, array_agg(key ORDER BY key), array_agg(amount ORDER BY key) FROM (
    SELECT b.scope_id, b.dimension, u.key, sum(u.amount)::bigint AS amount
    FROM breakdown_blocks b CROSS JOIN LATERAL unnest(b.keys, b.amounts) u (key, amount)
    WHERE b.days = 8 AND b.start >= $1 AND b.start < $2 GROUP BY 1, 2, 3
) cells WHERE amount <> 0 GROUP BY 1, 2;

-- name: closed
-- From now on read as blocks.
UPDATE report_closed SET until = $2 WHERE days = $1;

-- name: see_cohorts
-- What marked fans have brought the links they came through, less what they were told to have brought. A fan is acquired with the
-- first subscription through a link; its own payment may be told ten minutes earlier (spec 11).
INSERT INTO cohorts
SELECT f.smart_link_id, f.start, f.fan, -1, -f.gross_0, -f.gross_1, -f.gross_3, -f.gross_7, -f.gross_14, -f.gross_30, -f.gross_60, -f.gross_90, -f.gross_180,
       -f.gross_365, -f.net_0, -f.net_1, -f.net_3, -f.net_7, -f.net_14, -f.net_30, -f.net_60, -f.net_90, -f.net_180, -f.net_365
FROM fans_anew a JOIN cohort_fans f ON f.fan = a.fan
UNION ALL
SELECT n.smart_link_id, date_bin('15 minutes', n.acquired_at, 'epoch'), n.fan, 1, coalesce(sum(gross_cents) FILTER (WHERE after < interval '1 days'), 0),
       coalesce(sum(gross_cents) FILTER (WHERE after < interval '2 days'), 0),
       coalesce(sum(gross_cents) FILTER (WHERE after < interval '4 days'), 0),
       coalesce(sum(gross_cents) FILTER (WHERE after < interval '8 days'), 0),
       coalesce(sum(gross_cents) FILTER (WHERE after < interval '15 days'), 0),
       coalesce(sum(gross_cents) FILTER (WHERE after < interval '31 days'), 0),
       coalesce(sum(gross_cents) FILTER (WHERE after < interval '61 days'), 0),
       coalesce(sum(gross_cents) FILTER (WHERE after < interval '91 days'), 0),
       coalesce(sum(gross_cents) FILTER (WHERE after < interval '181 days'), 0),
       coalesce(sum(gross_cents) FILTER (WHERE after < interval '366 days'), 0),
       coalesce(sum(net_cents) FILTER (WHERE after < interval '1 days'), 0),
       coalesce(sum(net_cents) FILTER (WHERE after < interval '2 days'), 0),
       coalesce(sum(net_cents) FILTER (WHERE after < interval '4 days'), 0),
       coalesce(sum(net_cents) FILTER (WHERE after < interval '8 days'), 0),
       coalesce(sum(net_cents) FILTER (WHERE after < interval '15 days'), 0),
       coalesce(sum(net_cents) FILTER (WHERE after < interval '31 days'), 0),
       coalesce(sum(net_cents) FILTER (WHERE after < interval '61 days'), 0),
       coalesce(sum(net_cents) FILTER (WHERE after < interval '91 days'), 0),
       coalesce(sum(net_cents) FILTER (WHERE after < interval '181 days'), 0),
       coalesce(sum(net_cents) FILTER (WHERE after < interval '366 days'), 0)
FROM (
    SELECT c.smart_link_id, a.account_id, a.fan_id, a.fan, min(c.conversion_at) AS acquired_at
    FROM fans_anew a JOIN conversions c ON c.account_id = a.account_id AND c.fan_id = a.fan_id
    WHERE c.conversion_type = 'new_subscriber' AND c.retracted_at IS NULL GROUP BY 1, 2, 3, 4
) n LEFT JOIN LATERAL (
    SELECT r.gross_cents, r.net_cents, r.conversion_at - n.acquired_at AS after FROM revenue r
    WHERE r.account_id = n.account_id AND r.fan_id = n.fan_id AND r.smart_link_id = n.smart_link_id
      AND r.conversion_at >= n.acquired_at - interval '10 minutes'
) p ON true GROUP BY n.smart_link_id, n.acquired_at, n.fan;

-- name: forget_fans
-- What they were told to have brought.
DELETE FROM cohort_fans f USING fans_anew a WHERE f.fan = a.fan;

-- name: tell_fans
-- What they have brought.
INSERT INTO cohort_fans SELECT fan, smart_link_id, start, gross_0, gross_1, gross_3, gross_7, gross_14, gross_30, gross_60, gross_90, gross_180, gross_365, net_0, net_1, net_3,
       net_7, net_14, net_30, net_60, net_90, net_180, net_365 FROM cohorts WHERE subscribers > 0;

-- name: add_cohort_quarters
-- The difference, to the link, its account and its team.
INSERT INTO cohort_quarters AS r
SELECT x.scope_id, c.start, sum(subscribers), sum(gross_0), sum(gross_1), sum(gross_3), sum(gross_7), sum(gross_14), sum(gross_30), sum(gross_60), sum(gross_90),
       sum(gross_180), sum(gross_365), sum(net_0), sum(net_1), sum(net_3), sum(net_7), sum(net_14), sum(net_30), sum(net_60),
       sum(net_90), sum(net_180), sum(net_365)
FROM cohorts c JOIN smart_links s USING (smart_link_id)
CROSS JOIN LATERAL (VALUES (s.smart_link_id), (s.account_id), (s.team_id)) x (scope_id)
GROUP BY 1, 2
ON CONFLICT (scope_id, start) DO UPDATE SET subscribers = r.subscribers + excluded.subscribers,
       gross_0 = r.gross_0 + excluded.gross_0, gross_1 = r.gross_1 + excluded.gross_1, gross_3 = r.gross_3 + excluded.gross_3,
       gross_7 = r.gross_7 + excluded.gross_7, gross_14 = r.gross_14 + excluded.gross_14,
       gross_30 = r.gross_30 + excluded.gross_30, gross_60 = r.gross_60 + excluded.gross_60,
       gross_90 = r.gross_90 + excluded.gross_90, gross_180 = r.gross_180 + excluded.gross_180,
       gross_365 = r.gross_365 + excluded.gross_365, net_0 = r.net_0 + excluded.net_0, net_1 = r.net_1 + excluded.net_1,
       net_3 = r.net_3 + excluded.net_3, net_7 = r.net_7 + excluded.net_7, net_14 = r.net_14 + excluded.net_14,
       net_30 = r.net_30 + excluded.net_30, net_60 = r.net_60 + excluded.net_60, net_90 = r.net_90 + excluded.net_90,
       net_180 = r.net_180 + excluded.net_180, net_365 = r.net_365 + excluded.net_365;

-- name: add_cohort_days
-- The difference, to the link, its account and its team.
INSERT INTO cohort_days AS r
SELECT x.scope_id, date_trunc('day', c.start, 'UTC'), sum(subscribers), sum(gross_0), sum(gross_1), sum(gross_3), sum(gross_7), sum(gross_14), sum(gross_30), sum(gross_60), sum(gross_90),
       sum(gross_180), sum(gross_365), sum(net_0), sum(net_1), sum(net_3), sum(net_7), sum(net_14), sum(net_30), sum(net_60),
       sum(net_90), sum(net_180), sum(net_365)
FROM cohorts c JOIN smart_links s USING (smart_link_id)
CROSS JOIN LATERAL (VALUES (s.smart_link_id), (s.account_id), (s.team_id)) x (scope_id)
GROUP BY 1, 2
ON CONFLICT (scope_id, start) DO UPDATE SET subscribers = r.subscribers + excluded.subscribers,
       gross_0 = r.gross_0 + excluded.gross_0, gross_1 = r.gross_1 + excluded.gross_1, gross_3 = r.gross_3 + excluded.gross_3,
       gross_7 = r.gross_7 + excluded.gross_7, gross_14 = r.gross_14 + excluded.gross_14,
       gross_30 = r.gross_30 + excluded.gross_30, gross_60 = r.gross_60 + excluded.gross_60,
       gross_90 = r.gross_90 + excluded.gross_90, gross_180 = r.gross_180 + excluded.gross_180,
       gross_365 = r.gross_365 + excluded.gross_365, net_0 = r.net_0 + excluded.net_0, net_1 = r.net_1 + excluded.net_1,
       net_3 = r.net_3 + excluded.net_3, net_7 = r.net_7 + excluded.net_7, net_14 = r.net_14 + excluded.net_14,
       net_30 = r.net_30 + excluded.net_30, net_60 = r.net_60 + excluded.net_60, net_90 = r.net_90 + excluded.net_90,
       net_180 = r.net_180 + excluded.net_180, net_365 = r.net_365 + excluded.net_365;
