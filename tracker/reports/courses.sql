-- The counters of a day added up from midnight on, as one row: what a day of another time zone needs of it is one look.

-- name: courses_to_close
-- The days that are over and not told yet.
SELECT coalesce(until, (SELECT min(start) FROM report_days)) AS since, date_trunc('day', now(), 'UTC') AS until
FROM report_closed WHERE days = 1 AND coalesce(until, (SELECT min(start) FROM report_days)) < date_trunc('day', now(), 'UTC');

-- name: close_courses
-- The days from $1 to $2, of every scope.
INSERT INTO report_courses AS r
SELECT scope_id, day, array_agg(clicks ORDER BY quarter), array_agg(duplicates ORDER BY quarter), array_agg(bots ORDER BY quarter),
       array_agg(prefetches ORDER BY quarter), array_agg(subscribers ORDER BY quarter), array_agg(conversions ORDER BY quarter),
       array_agg(gross_cents ORDER BY quarter), array_agg(net_cents ORDER BY quarter)
FROM (
    SELECT d.scope_id, d.day, q.quarter, coalesce(sum(q.clicks) OVER so_far, 0) AS clicks,
           coalesce(sum(q.duplicates) OVER so_far, 0) AS duplicates, coalesce(sum(q.bots) OVER so_far, 0) AS bots,
           coalesce(sum(q.prefetches) OVER so_far, 0) AS prefetches, coalesce(sum(q.subscribers) OVER so_far, 0) AS subscribers,
           coalesce(sum(q.conversions) OVER so_far, 0) AS conversions, coalesce(sum(q.gross_cents) OVER so_far, 0) AS gross_cents,
           coalesce(sum(q.net_cents) OVER so_far, 0) AS net_cents
    FROM (
        SELECT scope_id, start AS day FROM report_days WHERE start >= $1 AND start < $2
    ) d CROSS JOIN LATERAL (
        -- OFFSET 0: the quarters of this day, not all there are.
        SELECT n AS quarter, t.* FROM generate_series(0, 95) n LEFT JOIN (
            SELECT * FROM report_quarters r WHERE r.scope_id = d.scope_id AND r.start >= d.day AND r.start < d.day + interval '1 day' OFFSET 0
        ) t ON t.start = d.day + n * interval '15 minutes'
    ) q
    WINDOW so_far AS (PARTITION BY d.scope_id, d.day ORDER BY quarter ROWS UNBOUNDED PRECEDING)
) told GROUP BY 1, 2
ON CONFLICT (scope_id, day) DO UPDATE SET clicks = excluded.clicks, duplicates = excluded.duplicates, bots = excluded.bots,
    prefetches = excluded.prefetches, subscribers = excluded.subscribers, conversions = excluded.conversions,
    gross_cents = excluded.gross_cents, net_cents = excluded.net_cents;

-- name: tell_courses
-- Days told before in which anything was counted since.
INSERT INTO report_courses AS r
SELECT scope_id, day, array_agg(clicks ORDER BY quarter), array_agg(duplicates ORDER BY quarter), array_agg(bots ORDER BY quarter),
       array_agg(prefetches ORDER BY quarter), array_agg(subscribers ORDER BY quarter), array_agg(conversions ORDER BY quarter),
       array_agg(gross_cents ORDER BY quarter), array_agg(net_cents ORDER BY quarter)
FROM (
    SELECT d.scope_id, d.day, q.quarter, coalesce(sum(q.clicks) OVER so_far, 0) AS clicks,
           coalesce(sum(q.duplicates) OVER so_far, 0) AS duplicates, coalesce(sum(q.bots) OVER so_far, 0) AS bots,
           coalesce(sum(q.prefetches) OVER so_far, 0) AS prefetches, coalesce(sum(q.subscribers) OVER so_far, 0) AS subscribers,
           coalesce(sum(q.conversions) OVER so_far, 0) AS conversions, coalesce(sum(q.gross_cents) OVER so_far, 0) AS gross_cents,
           coalesce(sum(q.net_cents) OVER so_far, 0) AS net_cents
    FROM (
        SELECT DISTINCT x.scope_id, date_trunc('day', n.start, 'UTC') AS day FROM counted n JOIN smart_links s USING (smart_link_id)
        CROSS JOIN LATERAL (VALUES (s.smart_link_id), (s.account_id), (s.team_id)) x (scope_id)
        WHERE n.start < (SELECT until FROM report_closed WHERE days = 1)
    ) d CROSS JOIN LATERAL (
        -- OFFSET 0: the quarters of this day, not all there are.
        SELECT n AS quarter, t.* FROM generate_series(0, 95) n LEFT JOIN (
            SELECT * FROM report_quarters r WHERE r.scope_id = d.scope_id AND r.start >= d.day AND r.start < d.day + interval '1 day' OFFSET 0
        ) t ON t.start = d.day + n * interval '15 minutes'
    ) q
    WINDOW so_far AS (PARTITION BY d.scope_id, d.day ORDER BY quarter ROWS UNBOUNDED PRECEDING)
) told GROUP BY 1, 2
ON CONFLICT (scope_id, day) DO UPDATE SET clicks = excluded.clicks, duplicates = excluded.duplicates, bots = excluded.bots,
    prefetches = excluded.prefetches, subscribers = excluded.subscribers, conversions = excluded.conversions,
    gross_cents = excluded.gross_cents, net_cents = excluded.net_cents;
