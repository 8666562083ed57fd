-- The course of clicks of several smart links at once, for the small pictures in their rows. Links are chosen by the caller, of one team.

-- name: by_quarter
-- Clicks from each of the moments $4 to the next.
SELECT scope_id, width_bucket(start, $4::timestamptz[]) AS point, sum(clicks)::bigint AS clicks
FROM report_quarters WHERE scope_id = ANY($1::text[]) AND start >= $2 AND start < $3 GROUP BY 1, 2;

-- name: by_day
-- The same where every moment is a midnight of UTC.
SELECT scope_id, width_bucket(start, $4::timestamptz[]) AS point, sum(clicks)::bigint AS clicks
FROM report_days WHERE scope_id = ANY($1::text[]) AND start >= $2 AND start < $3 GROUP BY 1, 2;
