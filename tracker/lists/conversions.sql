-- Conversions as believed now. Links are chosen by the caller, of one team.

-- name: page
-- The newest conversions: per link only as many as the page takes are looked at, by index; then their fans and clicks.
SELECT c.conversion_id, c.conversion_type, c.conversion_at, c.smart_link_id, c.account_id, c.fan_id, c.amount_gross_cents, c.amount_net_cents,
       c.transaction_id, c.transaction_type, c.transaction_status, c.transaction_description, c.previously_subscribed, c.purchase,
       c.created_at, c.corrected_at, f.username AS fan_username, f.name AS fan_name,
       c.click_id, k.clicked_at, k.last_visit_at, k.gross_clicks, k.visitor, k.visitor_by, k.inventory_link_id, k.lease, k.is_bot, k.bot_reason,
       host(k.ip) AS ip, k.country, k.user_agent, k.browser, k.browser_version, k.os, k.device_type, k.referrer, k.ecid, k.fbclid, k.ttclid,
       k.sccid, k.gclid, k.gbraid, k.wbraid, k.utm_source, k.utm_medium, k.utm_campaign, k.utm_term, k.utm_content,
       k.aff_s1, k.aff_s2, k.aff_s3, k.aff_s4, k.aff_s5
FROM (
    SELECT x.* FROM unnest($1::text[]) AS l (smart_link_id) CROSS JOIN LATERAL (
        SELECT c.* FROM conversions c
        WHERE c.smart_link_id = l.smart_link_id AND c.retracted_at IS NULL
          AND ($2::timestamptz IS NULL OR c.conversion_at >= $2) AND ($3::timestamptz IS NULL OR c.conversion_at < $3)
          AND c.conversion_type = ANY($4::text[]) AND ($5::text IS NULL OR c.fan_id = $5)
          AND ($6 OR NOT EXISTS (SELECT FROM clicks k WHERE k.click_id = c.click_id AND k.is_bot))
          AND ($7::timestamptz IS NULL OR c.conversion_at <= $7)
          AND ($7::timestamptz IS NULL OR (c.conversion_at, c.conversion_id) < ($7, $8))
        ORDER BY c.conversion_at DESC, c.conversion_id DESC LIMIT $9::bigint + $10::bigint
    ) x
    ORDER BY x.conversion_at DESC, x.conversion_id DESC LIMIT $9::bigint OFFSET $10::bigint
) c
LEFT JOIN fans f ON f.account_id = c.account_id AND f.fan_id = c.fan_id
LEFT JOIN clicks k ON k.click_id = c.click_id
ORDER BY c.conversion_at DESC, c.conversion_id DESC;

-- name: days
-- Per UTC day: conversions, subscribers among them, and what the payments among them are worth now.
SELECT day, conversions, subscribers, coalesce(gross_cents, 0)::bigint AS gross_cents
FROM (
    SELECT date_trunc('day', c.conversion_at AT TIME ZONE 'UTC') AS day, count(*) AS conversions,
           count(*) FILTER (WHERE c.conversion_type = 'new_subscriber') AS subscribers
    FROM conversions c
    WHERE c.smart_link_id = ANY($1::text[]) AND ($2::timestamptz IS NULL OR c.conversion_at >= $2) AND ($3::timestamptz IS NULL OR c.conversion_at < $3)
      AND ($5::text IS NULL OR c.fan_id = $5) AND ($6 OR NOT EXISTS (SELECT FROM clicks k WHERE k.click_id = c.click_id AND k.is_bot))
      AND c.retracted_at IS NULL AND c.conversion_type = ANY($4::text[])
    GROUP BY 1
) told LEFT JOIN (
    SELECT date_trunc('day', r.conversion_at AT TIME ZONE 'UTC') AS day, sum(r.gross_cents) AS gross_cents
    FROM revenue r
    WHERE r.smart_link_id = ANY($1::text[]) AND ($2::timestamptz IS NULL OR r.conversion_at >= $2) AND ($3::timestamptz IS NULL OR r.conversion_at < $3)
      AND ($5::text IS NULL OR r.fan_id = $5) AND ($6 OR NOT EXISTS (SELECT FROM clicks k WHERE k.click_id = r.click_id AND k.is_bot))
      AND 'new_transaction' = ANY($4::text[])
    GROUP BY 1
) paid USING (day) ORDER BY day;

-- name: kept_days
-- The same of all usual conversions, from $2 to $3 (quarters of an hour), from what the rollup job counted: whole days from $4 to $5,
-- quarters around them. Hours that are marked for it are counted here as the rows say now.
WITH marked AS MATERIALIZED (
    SELECT DISTINCT smart_link_id, greatest(hour, $2::timestamptz) AS since, least(hour + interval '1 hour', $3::timestamptz) AS until
    FROM report_marks WHERE kind = 'sales' AND smart_link_id = ANY($1::text[]) AND hour > $2::timestamptz - interval '1 hour' AND hour < $3::timestamptz
)
SELECT date_trunc('day', at AT TIME ZONE 'UTC') AS day, sum(conversions)::bigint AS conversions, sum(subscribers)::bigint AS subscribers,
       sum(gross_cents)::bigint AS gross_cents
FROM (
    SELECT start AS at, conversions, subscribers, gross_cents FROM report_days
    WHERE scope_id = ANY($1::text[]) AND start >= $4::timestamptz AND start < $5::timestamptz
    UNION ALL
    SELECT start, conversions, subscribers, gross_cents FROM report_quarters
    WHERE scope_id = ANY($1::text[]) AND start >= $2::timestamptz AND start < $4::timestamptz
    UNION ALL
    SELECT start, conversions, subscribers, gross_cents FROM report_quarters
    WHERE scope_id = ANY($1::text[]) AND start >= $5::timestamptz AND start < $3::timestamptz
    UNION ALL
    SELECT q.start, -q.conversions, -q.subscribers, -q.gross_cents FROM marked m
    JOIN report_quarters q ON q.scope_id = m.smart_link_id AND q.start >= m.since AND q.start < m.until
    UNION ALL
    SELECT c.conversion_at, 1, CASE WHEN c.conversion_type = 'new_subscriber' THEN 1 ELSE 0 END, 0 FROM marked m
    JOIN conversions c ON c.smart_link_id = m.smart_link_id AND c.conversion_at >= m.since AND c.conversion_at < m.until
    WHERE c.retracted_at IS NULL AND c.conversion_type <> 'transaction_status'
    UNION ALL
    SELECT r.conversion_at, 0, 0, r.gross_cents FROM marked m
    JOIN revenue r ON r.smart_link_id = m.smart_link_id AND r.conversion_at >= m.since AND r.conversion_at < m.until
) told GROUP BY 1 HAVING sum(conversions) <> 0 ORDER BY 1;
