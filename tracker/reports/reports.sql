-- Reading reports. Every query names the team, or takes only what `scopes` gave for it. Moments $2 to $5 are a range in three
-- parts (spans.py): quarters of an hour, whole days (UTC), quarters again.

-- name: chosen_accounts
-- Those of these accounts that are the team's.
SELECT account_id FROM accounts WHERE team_id = $1 AND account_id = ANY($2);

-- name: chosen_links
-- The team's smart links that meet the filters.
SELECT s.smart_link_id FROM smart_links s JOIN accounts a USING (account_id)
WHERE s.team_id = $1
  AND ($2::text[] IS NULL OR s.smart_link_id = ANY($2)) AND ($3::text[] IS NULL OR s.account_id = ANY($3))
  AND ($4::text[] IS NULL OR EXISTS (SELECT FROM link_tags t WHERE t.team_id = $1 AND t.kind = 'smart_links'
       AND t.target_id = s.smart_link_id AND t.tag = ANY($4)))
  AND ($5::text[] IS NULL OR CASE a.provider WHEN 'fansly' THEN 'fansly' ELSE 'onlyfans' END = ANY($5))
  AND ($6::text IS NULL OR s.name ILIKE $6) AND ($7::text[] IS NULL OR s.state = ANY($7));

-- name: total
-- The totals of a range.
SELECT sum(clicks) AS clicks, sum(duplicates) AS duplicates, sum(bots) AS bots, sum(prefetches) AS prefetches,
       sum(subscribers) AS subscribers, sum(conversions) AS conversions, sum(gross_cents) AS gross_cents,
       sum(net_cents) AS net_cents
FROM (
    SELECT scope_id, start, clicks, duplicates, bots, prefetches, subscribers, conversions, gross_cents, net_cents FROM report_days WHERE scope_id = ANY($1) AND start >= $3 AND start < $4
    UNION ALL
    SELECT scope_id, start, clicks, duplicates, bots, prefetches, subscribers, conversions, gross_cents, net_cents FROM report_quarters WHERE scope_id = ANY($1) AND start >= $2 AND start < $3
    UNION ALL
    SELECT scope_id, start, clicks, duplicates, bots, prefetches, subscribers, conversions, gross_cents, net_cents FROM report_quarters WHERE scope_id = ANY($1) AND start >= $4 AND start < $5
) parts;

-- name: series_by_quarter
-- The totals from each of the moments $4 to the next.
SELECT width_bucket(start, $4::timestamptz[]) AS point, sum(clicks) AS clicks, sum(duplicates) AS duplicates, sum(bots) AS bots, sum(prefetches) AS prefetches,
       sum(subscribers) AS subscribers, sum(conversions) AS conversions, sum(gross_cents) AS gross_cents,
       sum(net_cents) AS net_cents
FROM report_quarters WHERE scope_id = ANY($1) AND start >= $2 AND start < $3 GROUP BY 1;

-- name: series_by_days_around
-- The same from whole days: point n is the days from midnight $2[n] to $2[n + 1], and what lies between each midnight and the moment
-- next to it: of day $4, from the end of its quarter $5 to that of quarter $6, which the point before that moment gets ($3: 1) or has
-- too much (-1), and the point after it the other way round. Days that are over are told as courses, of others quarters are read.
WITH pieces AS MATERIALIZED (
    SELECT day, since, until, sign, number, day < coalesce((SELECT c.until FROM report_closed c WHERE c.days = 1), '-infinity') AS over
    FROM unnest($4::timestamptz[], $5::int[], $6::int[], $3::int[]) WITH ORDINALITY p (day, since, until, sign, number) WHERE since < until
)
SELECT point, sum(clicks) AS clicks, sum(duplicates) AS duplicates, sum(bots) AS bots, sum(prefetches) AS prefetches,
       sum(subscribers) AS subscribers, sum(conversions) AS conversions, sum(gross_cents) AS gross_cents, sum(net_cents) AS net_cents
FROM (
    SELECT width_bucket(start, $2::timestamptz[]) AS point, clicks, duplicates, bots, prefetches, subscribers, conversions, gross_cents, net_cents
    FROM report_days WHERE scope_id = ANY($1) AND start >= ($2::timestamptz[])[1] AND start < ($2::timestamptz[])[cardinality($2::timestamptz[])]
    UNION ALL
    SELECT v.point, v.sign * q.clicks, v.sign * q.duplicates, v.sign * q.bots, v.sign * q.prefetches, v.sign * q.subscribers, v.sign * q.conversions,
           v.sign * q.gross_cents, v.sign * q.net_cents
    FROM (
        SELECT number, sign, sum(clicks) AS clicks, sum(duplicates) AS duplicates, sum(bots) AS bots, sum(prefetches) AS prefetches,
               sum(subscribers) AS subscribers, sum(conversions) AS conversions, sum(gross_cents) AS gross_cents,
               sum(net_cents) AS net_cents
        FROM (
            -- OFFSET 0: what is wanted of a day is taken out of its wide row before rows are sorted, and the days of a scope are read in
            -- one pass, not by one look-up per boundary.
            SELECT p.number, p.sign, c.clicks[p.until] - coalesce(c.clicks[p.since], 0) AS clicks,
                   c.duplicates[p.until] - coalesce(c.duplicates[p.since], 0) AS duplicates,
                   c.bots[p.until] - coalesce(c.bots[p.since], 0) AS bots,
                   c.prefetches[p.until] - coalesce(c.prefetches[p.since], 0) AS prefetches,
                   c.subscribers[p.until] - coalesce(c.subscribers[p.since], 0) AS subscribers,
                   c.conversions[p.until] - coalesce(c.conversions[p.since], 0) AS conversions,
                   c.gross_cents[p.until] - coalesce(c.gross_cents[p.since], 0) AS gross_cents,
                   c.net_cents[p.until] - coalesce(c.net_cents[p.since], 0) AS net_cents
            FROM (
                SELECT * FROM report_courses WHERE scope_id = ANY($1)
                   AND day >= ($4::timestamptz[])[1] AND day <= ($4::timestamptz[])[cardinality($4::timestamptz[])] OFFSET 0
            ) c JOIN pieces p USING (day) WHERE p.over OFFSET 0
        ) c GROUP BY 1, 2
        UNION ALL
        SELECT p.number, p.sign, sum(t.clicks), sum(t.duplicates), sum(t.bots), sum(t.prefetches), sum(t.subscribers), sum(t.conversions), sum(t.gross_cents),
               sum(t.net_cents)
        FROM pieces p CROSS JOIN LATERAL (
            SELECT * FROM report_quarters WHERE scope_id = ANY($1)
               AND start >= p.day + p.since * interval '15 minutes' AND start < p.day + p.until * interval '15 minutes' OFFSET 0
        ) t WHERE NOT p.over GROUP BY 1, 2
    ) q CROSS JOIN LATERAL (VALUES (q.number - 1, q.sign), (q.number, -q.sign)) v (point, sign)
) parts GROUP BY 1;

-- name: links
-- The chosen smart links as such.
SELECT s.smart_link_id, s.name, s.account_id, s.state, s.created_at FROM smart_links s JOIN accounts a USING (account_id)
WHERE s.team_id = $1
  AND ($2::text[] IS NULL OR s.smart_link_id = ANY($2)) AND ($3::text[] IS NULL OR s.account_id = ANY($3))
  AND ($4::text[] IS NULL OR EXISTS (SELECT FROM link_tags t WHERE t.team_id = $1 AND t.kind = 'smart_links'
       AND t.target_id = s.smart_link_id AND t.tag = ANY($4)))
  AND ($5::text[] IS NULL OR CASE a.provider WHEN 'fansly' THEN 'fansly' ELSE 'onlyfans' END = ANY($5))
  AND ($6::text IS NULL OR s.name ILIKE $6) AND ($7::text[] IS NULL OR s.state = ANY($7));

-- name: totals_by_link
-- The totals of each of these smart links that has any.
SELECT scope_id, sum(clicks) AS clicks, sum(duplicates) AS duplicates, sum(bots) AS bots, sum(prefetches) AS prefetches,
       sum(subscribers) AS subscribers, sum(conversions) AS conversions, sum(gross_cents) AS gross_cents,
       sum(net_cents) AS net_cents
FROM (
    SELECT scope_id, start, clicks, duplicates, bots, prefetches, subscribers, conversions, gross_cents, net_cents FROM report_days WHERE scope_id = ANY($1) AND start >= $3 AND start < $4
    UNION ALL
    SELECT scope_id, start, clicks, duplicates, bots, prefetches, subscribers, conversions, gross_cents, net_cents FROM report_quarters WHERE scope_id = ANY($1) AND start >= $2 AND start < $3
    UNION ALL
    SELECT scope_id, start, clicks, duplicates, bots, prefetches, subscribers, conversions, gross_cents, net_cents FROM report_quarters WHERE scope_id = ANY($1) AND start >= $4 AND start < $5
) parts GROUP BY 1;

-- name: closed
-- Up to when there are blocks of days.
SELECT days, until FROM report_closed;

-- name: breakdown
-- The totals per value of dimension $6: told for hours $2 to $3, days $3 to $4 and hours $4 to $5; $7 to $9: what
-- `breakdown_rest` counted for the parts of an hour before and after; $14 to $15: the days that the blocks $16, $17 stand for.
-- In braces goes `cells`, or `summed` where several scopes tell the same values, which are then added up before they are told apart.
WITH odd AS MATERIALIZED (
    -- By the number of the value, and by none where there is no value.
    SELECT CASE WHEN o.value <> '' OR o.value IS NULL THEN coalesce(k.value_id, $6) * 8 + o.counter END AS key, o.counter, o.amount
    FROM unnest($7::text[], $8::int[], $9::bigint[]) o (value, counter, amount)
    LEFT JOIN report_values k ON k.dimension = $6 AND k.value = o.value
), cells AS NOT MATERIALIZED (
    -- unnest in the list, not in FROM: that would store what it gives before it is read.
    SELECT unnest(b.keys) AS key, unnest(b.amounts) AS amount FROM breakdown_days b
    WHERE b.scope_id = ANY($1) AND b.dimension = $6 AND (b.day >= $3 AND b.day < $14 OR b.day >= $15 AND b.day < $4)
    UNION ALL
    SELECT unnest(b.keys), unnest(b.amounts) FROM unnest($16::smallint[], $17::timestamptz[]) p (days, start)
    JOIN breakdown_blocks b ON b.scope_id = ANY($1) AND b.dimension = $6 AND b.days = p.days AND b.start = p.start
    UNION ALL
    SELECT key, amount FROM (
        SELECT unnest(b.keys) AS key, unnest(b.amounts) AS amount FROM breakdown_hours b
        WHERE b.scope_id = ANY($1) AND (b.hour >= $2 AND b.hour < $3 OR b.hour >= $4 AND b.hour < $5)
    ) h WHERE key >> 3 IN (SELECT value_id FROM report_values WHERE dimension = $6)  -- they hold all dimensions
    UNION ALL
    SELECT key, amount FROM odd WHERE key IS NOT NULL
), summed AS (
    SELECT key, sum(amount)::bigint AS amount FROM cells GROUP BY 1
), numbered AS (
    SELECT key >> 3 AS value_id, sum(amount) FILTER (WHERE key & 7 = 0) AS clicks, sum(amount) FILTER (WHERE key & 7 = 1) AS duplicates,
           sum(amount) FILTER (WHERE key & 7 = 2) AS bots, sum(amount) FILTER (WHERE key & 7 = 4) AS subscribers,
           sum(amount) FILTER (WHERE key & 7 = 5) AS conversions, sum(amount) FILTER (WHERE key & 7 = 6) AS gross_cents,
           sum(amount) FILTER (WHERE key & 7 = 7) AS net_cents
    FROM {cells} GROUP BY 1
), told AS (
    SELECT k.value, coalesce(clicks, 0)::bigint AS clicks, coalesce(duplicates, 0)::bigint AS duplicates, coalesce(bots, 0)::bigint AS bots,
           coalesce(subscribers, 0)::bigint AS subscribers, coalesce(conversions, 0)::bigint AS conversions,
           coalesce(gross_cents, 0)::bigint AS gross_cents, coalesce(net_cents, 0)::bigint AS net_cents
    FROM numbered n JOIN report_values k USING (value_id) WHERE k.dimension = $6
), whole AS (
    SELECT sum(clicks) AS clicks, sum(duplicates) AS duplicates, sum(bots) AS bots, sum(subscribers) AS subscribers,
           sum(conversions) AS conversions, sum(gross_cents) AS gross_cents, sum(net_cents) AS net_cents
    FROM (
        SELECT clicks, duplicates, bots, subscribers, conversions, gross_cents, net_cents FROM report_days WHERE scope_id = ANY($1) AND start >= $3 AND start < $4
        UNION ALL
        SELECT clicks, duplicates, bots, subscribers, conversions, gross_cents, net_cents FROM report_quarters WHERE scope_id = ANY($1) AND start >= $2 AND start < $3
        UNION ALL
        SELECT clicks, duplicates, bots, subscribers, conversions, gross_cents, net_cents FROM report_quarters WHERE scope_id = ANY($1) AND start >= $4 AND start < $5
        UNION ALL
        SELECT sum(amount) FILTER (WHERE counter = 0), sum(amount) FILTER (WHERE counter = 1), sum(amount) FILTER (WHERE counter = 2),
               sum(amount) FILTER (WHERE counter = 4), sum(amount) FILTER (WHERE counter = 5), sum(amount) FILTER (WHERE counter = 6),
               sum(amount) FILTER (WHERE counter = 7) FROM odd
        UNION ALL
        SELECT -sum(clicks), -sum(duplicates), -sum(bots), -sum(subscribers), -sum(conversions), -sum(gross_cents), -sum(net_cents) FROM told
    ) parts
), found AS (
    SELECT * FROM told WHERE value IS NOT NULL
    UNION ALL
    SELECT NULL, sum(clicks)::bigint, sum(duplicates)::bigint, sum(bots)::bigint, sum(subscribers)::bigint, sum(conversions)::bigint,
           sum(gross_cents)::bigint, sum(net_cents)::bigint
    FROM told WHERE value IS NULL HAVING count(*) > 0
    UNION ALL
    SELECT '', coalesce(clicks, 0)::bigint, coalesce(duplicates, 0)::bigint, coalesce(bots, 0)::bigint, coalesce(subscribers, 0)::bigint,
           coalesce(conversions, 0)::bigint, coalesce(gross_cents, 0)::bigint, coalesce(net_cents, 0)::bigint
    FROM whole
)
SELECT value, clicks, duplicates, bots, subscribers, conversions, gross_cents, net_cents FROM found
WHERE (clicks, duplicates, bots, subscribers, conversions, gross_cents, net_cents) <> (0, 0, 0, 0, 0, 0, 0)
ORDER BY
    CASE WHEN $11 THEN CASE $10 WHEN 'clicks' THEN clicks
        WHEN 'gross_clicks' THEN clicks + duplicates
        WHEN 'bots' THEN bots
        WHEN 'duplicates' THEN duplicates
        WHEN 'subscribers' THEN subscribers
        WHEN 'conversions' THEN conversions
        WHEN 'gross_cents' THEN gross_cents
        WHEN 'net_cents' THEN net_cents
        WHEN 'cr' THEN subscribers / nullif(clicks, 0)::float8
        WHEN 'arps_gross' THEN gross_cents / nullif(subscribers, 0)::float8
        WHEN 'arps_net' THEN net_cents / nullif(subscribers, 0)::float8 END END DESC NULLS LAST,
    CASE WHEN NOT $11 THEN CASE $10 WHEN 'clicks' THEN clicks
        WHEN 'gross_clicks' THEN clicks + duplicates
        WHEN 'bots' THEN bots
        WHEN 'duplicates' THEN duplicates
        WHEN 'subscribers' THEN subscribers
        WHEN 'conversions' THEN conversions
        WHEN 'gross_cents' THEN gross_cents
        WHEN 'net_cents' THEN net_cents
        WHEN 'cr' THEN subscribers / nullif(clicks, 0)::float8
        WHEN 'arps_gross' THEN gross_cents / nullif(subscribers, 0)::float8
        WHEN 'arps_net' THEN net_cents / nullif(subscribers, 0)::float8 END END NULLS LAST,
    CASE WHEN $11 AND $10 = 'value' THEN value END DESC NULLS LAST,
    CASE WHEN NOT $11 AND $10 = 'value' THEN value END NULLS LAST,
    value NULLS LAST
LIMIT $12 OFFSET $13;

-- name: click_value
-- What click c says of dimension $2, as in breakdowns.DIMENSIONS.
left(CASE $2::int WHEN 1 THEN c.country WHEN 2 THEN c.device_type WHEN 3 THEN c.browser WHEN 4 THEN c.os
        WHEN 5 THEN referrer_host(c.referrer) WHEN 6 THEN c.utm_source WHEN 7 THEN c.utm_medium
        WHEN 8 THEN c.utm_campaign WHEN 9 THEN c.utm_term WHEN 10 THEN c.utm_content WHEN 11 THEN c.aff_s1
        WHEN 12 THEN c.aff_s2 WHEN 13 THEN c.aff_s3 WHEN 14 THEN c.aff_s4 WHEN 15 THEN c.aff_s5
        WHEN 16 THEN c.ecid WHEN 17 THEN c.lease END, 200)

-- name: breakdown_rest
-- The values of dimension $2 counted from the rows themselves, for the parts of an hour from $3 to $4 that a range begins and ends
-- with in zones that are not whole hours from UTC. In braces goes the query above. OFFSET 0 keeps looking a click up a look-up: joined
-- freely, it becomes a scan of all clicks.
WITH parts AS (
    SELECT * FROM unnest($3::timestamptz[], $4::timestamptz[]) p (since, until)
), links AS (
    SELECT smart_link_id FROM smart_links WHERE (team_id = ANY($1) OR account_id = ANY($1) OR smart_link_id = ANY($1))
), raw AS (
    SELECT c.smart_link_id, {value} AS value, CASE WHEN c.is_bot THEN 2 ELSE 0 END AS counter, 1::bigint AS amount
    FROM parts p CROSS JOIN links l JOIN clicks c ON c.smart_link_id = l.smart_link_id
     AND c.click_id >= ulid_from(p.since - interval '1 minute') AND c.click_id < ulid_from(p.until + interval '1 minute')
    WHERE c.clicked_at >= p.since AND c.clicked_at < p.until
    UNION ALL
    SELECT c.smart_link_id, {value}, 1, 1
    FROM parts p JOIN visits v ON v.visit_id >= ulid_from(p.since - interval '1 minute') AND v.visit_id < ulid_from(p.until + interval '1 minute')
     AND v.visited_at >= p.since AND v.visited_at < p.until
    CROSS JOIN LATERAL (SELECT * FROM clicks k WHERE k.click_id = v.click_id OFFSET 0) c JOIN links l ON l.smart_link_id = c.smart_link_id
    UNION ALL
    SELECT n.smart_link_id, c.value, x.counter, x.amount
    FROM parts p CROSS JOIN links l CROSS JOIN LATERAL (SELECT * FROM conversions v WHERE v.smart_link_id = l.smart_link_id
     AND v.conversion_at >= p.since AND v.conversion_at < p.until AND v.retracted_at IS NULL AND v.conversion_type <> 'transaction_status' OFFSET 0) n
    LEFT JOIN LATERAL (SELECT * FROM revenue v WHERE v.conversion_id = n.conversion_id OFFSET 0) r ON n.conversion_type = 'new_transaction'
    LEFT JOIN LATERAL (SELECT {value} AS value FROM clicks c WHERE c.click_id = n.click_id OFFSET 0) c ON true
    CROSS JOIN LATERAL (VALUES (5, 1), (4, (n.conversion_type = 'new_subscriber')::int), (6, r.gross_cents), (7, r.net_cents)) x (counter, amount)
    WHERE x.amount <> 0
), told AS (
    SELECT smart_link_id, CASE WHEN starts_with(value, 'erased:') THEN '' ELSE coalesce(value, '') END AS value, counter, sum(amount)::bigint AS amount
    FROM raw GROUP BY 1, 2, 3
)
SELECT CASE WHEN value = '' OR EXISTS (
           SELECT FROM report_values k JOIN report_listed d ON d.smart_link_id = t.smart_link_id AND d.dimension = $2::int AND d.value_id = k.value_id
           WHERE k.dimension = $2::int AND k.value = t.value) THEN value END AS value, counter, sum(amount)::bigint AS amount
FROM told t GROUP BY 1, 2;

-- name: cohorts
-- Per acquisition period (from each of the moments $4 to the next): its fans; per window those whose window was over at $6, by the
-- quarter of an hour in which they subscribed, and what these brought in it. $5: the days that are not told as a whole.
SELECT width_bucket(start, $4::timestamptz[]) AS point, sum(subscribers) AS subscribers,
       sum(subscribers) FILTER (WHERE age >= interval '1 days') AS matured_0, sum(gross_0) FILTER (WHERE age >= interval '1 days') AS gross_0, sum(net_0) FILTER (WHERE age >= interval '1 days') AS net_0,
       sum(subscribers) FILTER (WHERE age >= interval '2 days') AS matured_1, sum(gross_1) FILTER (WHERE age >= interval '2 days') AS gross_1, sum(net_1) FILTER (WHERE age >= interval '2 days') AS net_1,
       sum(subscribers) FILTER (WHERE age >= interval '4 days') AS matured_3, sum(gross_3) FILTER (WHERE age >= interval '4 days') AS gross_3, sum(net_3) FILTER (WHERE age >= interval '4 days') AS net_3,
       sum(subscribers) FILTER (WHERE age >= interval '8 days') AS matured_7, sum(gross_7) FILTER (WHERE age >= interval '8 days') AS gross_7, sum(net_7) FILTER (WHERE age >= interval '8 days') AS net_7,
       sum(subscribers) FILTER (WHERE age >= interval '15 days') AS matured_14, sum(gross_14) FILTER (WHERE age >= interval '15 days') AS gross_14, sum(net_14) FILTER (WHERE age >= interval '15 days') AS net_14,
       sum(subscribers) FILTER (WHERE age >= interval '31 days') AS matured_30, sum(gross_30) FILTER (WHERE age >= interval '31 days') AS gross_30, sum(net_30) FILTER (WHERE age >= interval '31 days') AS net_30,
       sum(subscribers) FILTER (WHERE age >= interval '61 days') AS matured_60, sum(gross_60) FILTER (WHERE age >= interval '61 days') AS gross_60, sum(net_60) FILTER (WHERE age >= interval '61 days') AS net_60,
       sum(subscribers) FILTER (WHERE age >= interval '91 days') AS matured_90, sum(gross_90) FILTER (WHERE age >= interval '91 days') AS gross_90, sum(net_90) FILTER (WHERE age >= interval '91 days') AS net_90,
       sum(subscribers) FILTER (WHERE age >= interval '181 days') AS matured_180, sum(gross_180) FILTER (WHERE age >= interval '181 days') AS gross_180, sum(net_180) FILTER (WHERE age >= interval '181 days') AS net_180,
       sum(subscribers) FILTER (WHERE age >= interval '366 days') AS matured_365, sum(gross_365) FILTER (WHERE age >= interval '366 days') AS gross_365, sum(net_365) FILTER (WHERE age >= interval '366 days') AS net_365
FROM (
    SELECT *, interval '1 day' AS lasts FROM cohort_days WHERE scope_id = ANY($1) AND start >= $2 AND start + interval '1 day' <= $3 AND start <> ALL($5::timestamptz[])
    UNION ALL
    SELECT q.*, interval '15 minutes' FROM unnest($5::timestamptz[]) d (day) CROSS JOIN LATERAL (
        SELECT * FROM cohort_quarters q WHERE q.scope_id = ANY($1)
           AND q.start >= d.day AND q.start < d.day + interval '1 day' AND q.start >= $2 AND q.start < $3 OFFSET 0) q
) cohorts CROSS JOIN LATERAL (SELECT $6::timestamptz - start - lasts AS age) a GROUP BY 1;
