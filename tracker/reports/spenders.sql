-- Different fans who paid: kept by the rollup job as sums (migration 0007_spenders says which), read as sums.

-- name: spenders_workspace
-- What one run works on, emptied when it ends. spent: rows as they were told (-1) and as they are told now (1).
CREATE TEMP TABLE IF NOT EXISTS payers (smart_link_id text COLLATE "C", fan bigint) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS spent (smart_link_id text COLLATE "C", fan bigint, start timestamptz, before timestamptz, sign integer) ON COMMIT DELETE ROWS;

-- name: see_payers
-- The fans who were told to have paid in the marked hours, and those who have.
INSERT INTO payers
SELECT p.smart_link_id, p.fan FROM anew a
JOIN report_spenders p ON p.smart_link_id = a.smart_link_id AND p.start >= a.hour AND p.start < a.hour + interval '1 hour' WHERE a.kind = 'sales'
UNION
SELECT r.smart_link_id, hashtextextended(r.account_id || ' ' || r.fan_id, 0)
FROM anew a JOIN revenue r ON r.smart_link_id = a.smart_link_id AND r.conversion_at >= a.hour AND r.conversion_at < a.hour + interval '1 hour'
WHERE a.kind = 'sales' AND r.gross_cents > 0;

-- name: see_spent
-- What was told of them so far.
INSERT INTO spent SELECT p.smart_link_id, p.fan, p.start, p.before, -1 FROM payers JOIN report_spenders p USING (fan, smart_link_id);

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

-- name: order_spenders
-- When each had paid before, on the same link.
UPDATE report_spenders p SET before = o.before FROM (
    SELECT p.smart_link_id, p.fan, p.start, coalesce(lag(p.start) OVER (PARTITION BY p.smart_link_id, p.fan ORDER BY p.start), '-infinity') AS before
    FROM payers JOIN report_spenders p USING (fan, smart_link_id)
) o WHERE p.smart_link_id = o.smart_link_id AND p.start = o.start AND p.fan = o.fan AND p.before <> o.before;

-- name: share_spenders
-- Which of them pay through several links.
UPDATE report_spenders p SET shared = o.shared FROM (
    SELECT p.fan, count(DISTINCT p.smart_link_id) > 1 AS shared
    FROM (SELECT DISTINCT fan FROM payers) f JOIN report_spenders p USING (fan) GROUP BY 1
) o WHERE p.fan = o.fan AND p.shared <> o.shared;

-- name: tell_spent
-- What is told of them now. What did not change cancels out.
INSERT INTO spent SELECT p.smart_link_id, p.fan, p.start, p.before, 1 FROM payers JOIN report_spenders p USING (fan, smart_link_id);

-- name: add_spender_days
-- The difference, to the blocks of the link, its account and its team.
WITH changed AS (
    SELECT smart_link_id, start, before, sum(sign) AS amount FROM spent GROUP BY smart_link_id, fan, start, before HAVING sum(sign) <> 0
), changes AS (
    SELECT x.scope_id, l.days, date_bin(make_interval(days => l.days), p.start, 'epoch') AS start, day_number(p.before) AS before, sum(amount) AS amount
    FROM changed p JOIN smart_links s USING (smart_link_id) CROSS JOIN (VALUES (1), (8), (64)) l (days)
    CROSS JOIN LATERAL (VALUES (s.smart_link_id), (s.account_id), (s.team_id)) x (scope_id)
    WHERE p.before < date_bin(make_interval(days => l.days), p.start, 'epoch')
    GROUP BY 1, 2, 3, 4
), merged AS (
    SELECT scope_id, days, start, before, sum(amount)::integer AS fans FROM (
        SELECT * FROM changes
        UNION ALL
        SELECT d.scope_id, d.days, d.start, u.before, u.fans FROM (SELECT DISTINCT scope_id, days, start FROM changes) o
        JOIN spender_days d USING (scope_id, days, start) CROSS JOIN LATERAL unnest(d.before, d.fans) u (before, fans)
    ) parts GROUP BY 1, 2, 3, 4
)
INSERT INTO spender_days (scope_id, days, start, before, fans)
SELECT scope_id, days, start, coalesce(array_agg(before ORDER BY before) FILTER (WHERE fans <> 0), '{}'),
       coalesce(array_agg(fans ORDER BY before) FILTER (WHERE fans <> 0), '{}')
FROM merged GROUP BY 1, 2, 3
ON CONFLICT (scope_id, days, start) DO UPDATE SET before = excluded.before, fans = excluded.fans;

-- name: add_spender_courses
-- The difference, to the days of the link, its account and its team: a fan counts in the 24 hours from each quarter after the payment
-- before, and from no more than a day before this one.
WITH changed AS (
    SELECT smart_link_id, start, greatest(before + interval '15 minutes', start - interval '1425 minutes') AS since, sum(sign) AS amount
    FROM spent GROUP BY smart_link_id, fan, start, before HAVING sum(sign) <> 0
), changes AS (
    SELECT x.scope_id, d.day, (extract(epoch FROM m.at - d.day) / 900)::integer AS quarter, sum(m.sign * p.amount) AS amount
    FROM changed p JOIN smart_links s USING (smart_link_id)
    CROSS JOIN LATERAL (VALUES (s.smart_link_id), (s.account_id), (s.team_id)) x (scope_id)
    CROSS JOIN LATERAL (SELECT DISTINCT date_trunc('day', m, 'UTC') AS day FROM (VALUES (p.since), (p.start)) e (m)) d
    CROSS JOIN LATERAL (VALUES (greatest(p.since, d.day), 1), (p.start + interval '15 minutes', -1)) m (at, sign)
    GROUP BY 1, 2, 3
), touched AS (SELECT DISTINCT scope_id, day FROM changes), summed AS (
    SELECT scope_id, day, quarter, sum(sum(amount)) OVER (PARTITION BY scope_id, day ORDER BY quarter) AS fans FROM (
        SELECT * FROM changes WHERE quarter < 96
        UNION ALL
        SELECT scope_id, day, quarter, 0 FROM touched CROSS JOIN generate_series(0, 95) quarter
    ) parts GROUP BY 1, 2, 3
), merged AS (
    SELECT scope_id, day, quarter, sum(fans)::integer AS fans FROM (
        SELECT * FROM summed
        UNION ALL
        SELECT c.scope_id, c.day, u.quarter - 1, u.fans FROM touched JOIN spender_courses c USING (scope_id, day)
        CROSS JOIN LATERAL unnest(c.fans) WITH ORDINALITY u (fans, quarter)
    ) parts GROUP BY 1, 2, 3
)
INSERT INTO spender_courses (scope_id, day, fans)
SELECT scope_id, day, array_agg(fans ORDER BY quarter) FROM merged GROUP BY 1, 2
ON CONFLICT (scope_id, day) DO UPDATE SET fans = excluded.fans;

-- name: spenders
-- Different fans of several ranges, told for each link of the scopes $1 and added up. Per range, by its number: $2 to $6, the blocks
-- that its whole days consist of (days, since, until), whose fans had not paid since day $6; $7 to $10, the parts of days at its ends
-- (since, until), whose fans had not paid since its start $10; $11 to $14, fewer those of the whole days ($13 to $14) who had
-- paid in the part of a day before them ($12 to $13), which the blocks cannot tell from those who had paid earlier that day.
WITH links AS MATERIALIZED (
    SELECT smart_link_id FROM smart_links WHERE team_id = ANY($1) OR account_id = ANY($1) OR smart_link_id = ANY($1)
)
SELECT point, sum(fans)::bigint AS fans FROM (
    SELECT p.point, sum(u.fans) AS fans
    FROM unnest($2::int[], $3::int[], $4::timestamptz[], $5::timestamptz[], $6::int[]) p (point, days, since, until, day)
    JOIN spender_days d ON d.scope_id = ANY($1) AND d.days = p.days AND d.start >= p.since AND d.start < p.until
    CROSS JOIN LATERAL unnest(d.before, d.fans) u (before, fans) WHERE u.before < p.day GROUP BY 1
    UNION ALL
    SELECT p.point, count(*)
    FROM unnest($7::int[], $8::timestamptz[], $9::timestamptz[], $10::timestamptz[]) p (point, since, until, from_)
    CROSS JOIN links l CROSS JOIN LATERAL (
        SELECT FROM report_spenders r WHERE r.smart_link_id = l.smart_link_id AND r.start >= p.since AND r.start < p.until AND r.before < p.from_ OFFSET 0
    ) r GROUP BY 1
    UNION ALL
    SELECT p.point, -count(*)
    FROM unnest($11::int[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[]) p (point, since, until, ends)
    CROSS JOIN links l CROSS JOIN LATERAL (
        SELECT FROM report_spenders r WHERE r.smart_link_id = l.smart_link_id AND r.before >= p.since AND r.before < p.until
           AND r.start - p.until >= interval '0' AND p.ends - r.start > interval '0' OFFSET 0  -- by `before`, which is the rarer
    ) r GROUP BY 1
) parts GROUP BY 1;

-- name: spenders_by_link
-- The same of one range for each of the smart links $1.
SELECT scope_id, sum(fans)::bigint AS fans FROM (
    SELECT d.scope_id, sum(u.fans) AS fans
    FROM unnest($2::int[], $3::int[], $4::timestamptz[], $5::timestamptz[], $6::int[]) p (point, days, since, until, day)
    JOIN spender_days d ON d.scope_id = ANY($1) AND d.days = p.days AND d.start >= p.since AND d.start < p.until
    CROSS JOIN LATERAL unnest(d.before, d.fans) u (before, fans) WHERE u.before < p.day GROUP BY 1
    UNION ALL
    SELECT l.scope_id, count(*)
    FROM unnest($7::int[], $8::timestamptz[], $9::timestamptz[], $10::timestamptz[]) p (point, since, until, from_)
    CROSS JOIN unnest($1::text[]) l (scope_id) CROSS JOIN LATERAL (
        SELECT FROM report_spenders r WHERE r.smart_link_id = l.scope_id AND r.start >= p.since AND r.start < p.until AND r.before < p.from_ OFFSET 0
    ) r GROUP BY 1
    UNION ALL
    SELECT l.scope_id, -count(*)
    FROM unnest($11::int[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[]) p (point, since, until, ends)
    CROSS JOIN unnest($1::text[]) l (scope_id) CROSS JOIN LATERAL (
        SELECT FROM report_spenders r WHERE r.smart_link_id = l.scope_id AND r.before >= p.since AND r.before < p.until
           AND r.start - p.until >= interval '0' AND p.ends - r.start > interval '0' OFFSET 0  -- by `before`, which is the rarer
    ) r GROUP BY 1
) parts GROUP BY 1;

-- name: spenders_counted_twice
-- From each of the moments $4 to the next, up to $3: how many more the links of the scopes $1 tell than there are fans.
SELECT width_bucket(p.start, $4::timestamptz[]) AS point, count(DISTINCT (p.smart_link_id, p.fan)) - count(DISTINCT p.fan) AS fans
FROM smart_links s JOIN report_spenders p USING (smart_link_id)
WHERE (s.team_id = ANY($1) OR s.account_id = ANY($1) OR s.smart_link_id = ANY($1)) AND p.start >= $2 AND p.start < $3 AND p.shared
GROUP BY 1;

-- name: spenders_by_day
-- Different fans, told per link, of the 24 hours from quarter $3 (1 to 96) of day $2, by number ($4).
SELECT p.point, sum(c.fans[p.quarter])::bigint AS fans
FROM (SELECT * FROM spender_courses WHERE scope_id = ANY($1) AND day >= ($2::timestamptz[])[1] AND day <= ($2::timestamptz[])[cardinality($2::timestamptz[])] OFFSET 0) c
JOIN unnest($2::timestamptz[], $3::int[], $4::int[]) p (day, quarter, point) USING (day) GROUP BY 1;

-- name: spenders_by_hour
-- Different fans, told per link, from each of the moments $4 to the next: those who had not paid since that moment.
SELECT width_bucket(p.start, $4::timestamptz[]) AS point, count(*) AS fans
FROM smart_links s JOIN report_spenders p USING (smart_link_id)
WHERE (s.team_id = ANY($1) OR s.account_id = ANY($1) OR s.smart_link_id = ANY($1)) AND p.start >= $2 AND p.start < $3
  AND p.before < ($4::timestamptz[])[width_bucket(p.start, $4::timestamptz[])]
GROUP BY 1;
