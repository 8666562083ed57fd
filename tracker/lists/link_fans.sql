-- Fans of one smart link ($1, an array of one), from what the rollup job tells of them (migration 0008_link_fans): a page is read by
-- an index, and all together are added up by days. Names in braces are put in by link_fans.py: columns and conditions on them.

-- name: fresh
-- Fans for whom the job has to run yet, as their conversions say now: what it told of them is passed over.
WITH waiting AS MATERIALIZED (
    SELECT DISTINCT m.account_id, m.fan_id FROM report_fan_marks m
    WHERE m.account_id = (SELECT s.account_id FROM smart_links s WHERE s.smart_link_id = ($1::text[])[1])
), fresh AS MATERIALIZED (
    SELECT v.* FROM waiting w CROSS JOIN LATERAL (
        SELECT * FROM credited_fans c WHERE c.account_id = w.account_id AND c.fan_id = w.fan_id AND c.smart_link_id = ($1::text[])[1] OFFSET 0
    ) v
)

-- name: wanted
-- Conditions on a fan.
converted_at >= $2::timestamptz AND converted_at < $3::timestamptz AND ($4::boolean IS NULL OR (messages > 0) = $4)
            AND ($5::bigint IS NULL OR messages >= $5) AND ($6::bigint IS NULL OR net_cents >= $6)
            AND ($7::bigint IS NULL OR tips_cents >= $7) AND ($8::boolean IS NULL OR previously_subscribed = $8)

-- name: page
-- A page of them, by one column.
, page AS (
    SELECT f.*, {key} AS key FROM (
        (SELECT * FROM link_fans WHERE smart_link_id = ($1::text[])[1] AND {after} AND {wanted}
            AND (account_id, fan_id) NOT IN (SELECT account_id, fan_id FROM waiting)
         ORDER BY {column} {order}, account_id DESC, fan_id DESC LIMIT $12::bigint + $13::bigint)
        UNION ALL
        SELECT * FROM fresh WHERE {after} AND {wanted}
    ) f ORDER BY {column} {order}, account_id DESC, fan_id DESC LIMIT $12::bigint OFFSET $13::bigint
)

-- name: summary
-- All of them together, one by one.
SELECT count(*) AS fans, count(*) FILTER (WHERE messages >= 1) AS fans_1_message, count(*) FILTER (WHERE messages >= 3) AS fans_3_messages,
       coalesce(sum(net_cents), 0)::bigint AS net_cents, coalesce(sum(gross_cents), 0)::bigint AS gross_cents,
       coalesce(sum(tips_cents), 0)::bigint AS tips_cents
FROM (
    SELECT * FROM link_fans WHERE smart_link_id = ($1::text[])[1] AND {wanted} AND (account_id, fan_id) NOT IN (SELECT account_id, fan_id FROM waiting)
    UNION ALL
    SELECT * FROM fresh WHERE {wanted}
) f;

-- name: summary_by_days
-- All who were won from $2 to $3, without further conditions: whole days from $4 to $5, and fans won before and after them.
SELECT coalesce(sum(fans), 0)::bigint AS fans, coalesce(sum(fans_1_message), 0)::bigint AS fans_1_message,
       coalesce(sum(fans_3_messages), 0)::bigint AS fans_3_messages, coalesce(sum(net_cents), 0)::bigint AS net_cents,
       coalesce(sum(gross_cents), 0)::bigint AS gross_cents, coalesce(sum(tips_cents), 0)::bigint AS tips_cents
FROM (
    SELECT fans, fans_1_message, fans_3_messages, net_cents, gross_cents, tips_cents
    FROM link_fan_days WHERE smart_link_id = ($1::text[])[1] AND day >= $4::timestamptz AND day < $5::timestamptz
    UNION ALL
    SELECT sign, CASE WHEN messages >= 1 THEN sign ELSE 0 END, CASE WHEN messages >= 3 THEN sign ELSE 0 END,
           sign * net_cents, sign * gross_cents, sign * tips_cents
    FROM (
        SELECT 1 AS sign, messages, net_cents, gross_cents, tips_cents FROM link_fans
        WHERE smart_link_id = ($1::text[])[1] AND converted_at >= $2::timestamptz AND converted_at < $4::timestamptz
        UNION ALL
        SELECT 1, messages, net_cents, gross_cents, tips_cents FROM link_fans
        WHERE smart_link_id = ($1::text[])[1] AND converted_at >= $5::timestamptz AND converted_at < $3::timestamptz
        UNION ALL
        SELECT -1, messages, net_cents, gross_cents, tips_cents FROM waiting JOIN link_fans USING (account_id, fan_id)
        WHERE smart_link_id = ($1::text[])[1] AND converted_at >= $2::timestamptz AND converted_at < $3::timestamptz
        UNION ALL
        SELECT 1, messages, net_cents, gross_cents, tips_cents FROM fresh WHERE converted_at >= $2::timestamptz AND converted_at < $3::timestamptz
    ) fans
) parts;

-- name: spenders
-- Who paid at least $2, most first. Names are looked up for the page alone.
SELECT p.account_id, p.fan_id, p.gross_cents, p.net_cents, p.payments, p.last_payment_at, f.username, f.name FROM (
    SELECT * FROM (
        (SELECT * FROM link_fans WHERE smart_link_id = ($1::text[])[1] AND gross_cents >= greatest($2::bigint, 1)
            AND (account_id, fan_id) NOT IN (SELECT account_id, fan_id FROM waiting)
         ORDER BY gross_cents DESC, account_id, fan_id LIMIT $3::bigint + $4::bigint)
        UNION ALL
        SELECT * FROM fresh WHERE gross_cents >= greatest($2::bigint, 1)
    ) told ORDER BY gross_cents DESC, account_id, fan_id LIMIT $3::bigint OFFSET $4::bigint
) p LEFT JOIN fans f USING (account_id, fan_id)
ORDER BY p.gross_cents DESC, p.account_id, p.fan_id;
