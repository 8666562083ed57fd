-- Fans credited to smart links, with what they brought through these links. Links are chosen by the caller, of one team.

-- name: found
-- One row per fan: the conversion that won them, their messages, and their payments less what was taken back.
WITH told AS (
    SELECT c.account_id, c.fan_id, min(c.conversion_at) AS converted_at,
           (array_agg(c.conversion_id ORDER BY c.conversion_type <> 'new_subscriber', c.conversion_at, c.conversion_id))[1] AS conversion_id,
           (array_agg(c.click_id ORDER BY c.conversion_type <> 'new_subscriber', c.conversion_at, c.conversion_id))[1] AS click_id,
           (array_agg(c.smart_link_id ORDER BY c.conversion_type <> 'new_subscriber', c.conversion_at, c.conversion_id))[1] AS smart_link_id,
           count(*) FILTER (WHERE c.conversion_type = 'message_received') AS messages,
           count(*) FILTER (WHERE c.conversion_type = 'new_subscriber') AS subscriptions,
           coalesce(bool_or(c.previously_subscribed) FILTER (WHERE c.conversion_type = 'new_subscriber'), false) AS previously_subscribed,
           (array_agg(c.amount_gross_cents ORDER BY c.conversion_at) FILTER (WHERE c.conversion_type = 'new_subscriber'))[1] AS price_cents
    FROM conversions c
    WHERE c.smart_link_id = ANY($1::text[]) AND c.retracted_at IS NULL AND c.conversion_type <> 'transaction_status'
      AND ($2::text IS NULL OR c.fan_id = $2)
    GROUP BY c.account_id, c.fan_id
), paid AS (
    SELECT r.account_id, r.fan_id, sum(r.gross_cents)::bigint AS gross_cents, sum(r.net_cents)::bigint AS net_cents,
           coalesce(sum(r.net_cents) FILTER (WHERE r.transaction_type = 'tip'), 0)::bigint AS tips_cents
    FROM revenue r WHERE r.smart_link_id = ANY($1::text[]) AND ($2::text IS NULL OR r.fan_id = $2)
    GROUP BY r.account_id, r.fan_id
), shown AS (
    SELECT t.*, coalesce(p.gross_cents, 0) AS gross_cents, coalesce(p.net_cents, 0) AS net_cents, coalesce(p.tips_cents, 0) AS tips_cents,
           s.link_type, a.subscribe_price_cents, a.username AS creator,
           s.link_type = 'free_trial' OR (t.price_cents IS NOT NULL AND coalesce(t.price_cents < a.subscribe_price_cents, false)) AS promo
    FROM told t JOIN smart_links s USING (smart_link_id) JOIN accounts a ON a.account_id = t.account_id
    LEFT JOIN paid p ON p.account_id = t.account_id AND p.fan_id = t.fan_id
), wanted AS (
    SELECT * FROM shown
    WHERE ($3::boolean IS NULL OR (messages > 0) = $3) AND ($4::bigint IS NULL OR messages >= $4)
      AND ($5::bigint IS NULL OR net_cents >= $5) AND ($6::bigint IS NULL OR tips_cents >= $6)
      AND ($7::boolean IS NULL OR previously_subscribed = $7) AND ($8::boolean IS NULL OR promo = $8)
      AND ($9::timestamptz IS NULL OR converted_at >= $9) AND ($10::timestamptz IS NULL OR converted_at < $10)
)

-- name: page
-- A page of them. $12 turns the order round. Names and clicks are looked up for the page alone.
SELECT w.*, f.username, f.name, k.ecid, ordered.key,
       EXISTS (SELECT FROM bindings b WHERE b.account_id = w.account_id AND b.fan_id = w.fan_id AND b.retracted_at IS NULL
               AND b.smart_link_id = ANY($1::text[]) AND b.valid_from = (
                   SELECT max(n.valid_from) FROM bindings n WHERE n.account_id = w.account_id AND n.fan_id = w.fan_id AND n.retracted_at IS NULL)) AS bound_here
FROM (
    SELECT * FROM (
        SELECT wanted.account_id, wanted.fan_id, $12::bigint * CASE $11::text
            WHEN 'revenue_net' THEN net_cents WHEN 'revenue_gross' THEN gross_cents WHEN 'tips_net' THEN tips_cents
            WHEN 'messages_sent_by_fan' THEN messages ELSE (extract(epoch FROM converted_at) * 1000000)::bigint END AS key
        FROM wanted
    ) keyed WHERE $13::bigint IS NULL OR (key, account_id, fan_id) < ($13, $14::text, $15::text)
    ORDER BY key DESC, account_id DESC, fan_id DESC LIMIT $16::bigint OFFSET $17::bigint
) ordered JOIN wanted w USING (account_id, fan_id)
LEFT JOIN fans f USING (account_id, fan_id)
LEFT JOIN LATERAL (SELECT c.ecid FROM clicks c WHERE c.click_id = w.click_id OFFSET 0) k ON true
ORDER BY ordered.key DESC, w.account_id DESC, w.fan_id DESC;

-- name: summary
-- All of them together.
SELECT count(*) AS fans, count(*) FILTER (WHERE messages >= 1) AS fans_1_message, count(*) FILTER (WHERE messages >= 3) AS fans_3_messages,
       coalesce(sum(net_cents), 0)::bigint AS net_cents, coalesce(sum(gross_cents), 0)::bigint AS gross_cents,
       coalesce(sum(tips_cents), 0)::bigint AS tips_cents FROM wanted;

-- name: spenders
-- Who paid at least so much, most first. Names are looked up for the page alone.
SELECT p.*, f.username, f.name FROM (
    SELECT r.account_id, r.fan_id, sum(r.gross_cents)::bigint AS gross_cents, sum(r.net_cents)::bigint AS net_cents,
           count(*) AS payments, max(r.conversion_at) AS last_payment_at
    FROM revenue r WHERE r.smart_link_id = ANY($1::text[])
    GROUP BY r.account_id, r.fan_id HAVING sum(r.gross_cents) >= $2::bigint AND sum(r.gross_cents) > 0
    ORDER BY sum(r.gross_cents) DESC, r.account_id, r.fan_id LIMIT $3::bigint OFFSET $4::bigint
) p LEFT JOIN fans f USING (account_id, fan_id)
ORDER BY p.gross_cents DESC, p.account_id, p.fan_id;
