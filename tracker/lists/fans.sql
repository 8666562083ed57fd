-- Fans credited to smart links, with what they brought through these links. Links are chosen by the caller, of one team.

-- name: found
-- One row per fan: when they were won, their messages, and their payments less what was taken back. Only what orders or filters: how
-- each was won is looked up for the page alone (or for all, to tell a promotion, when $8 asks). Payments taken back are few, so
-- they are joined as a whole and not asked for payment by payment.
-- Who was won between $9 and $10 had something then: nobody else's rows are read.
WITH there AS (
    SELECT DISTINCT c.account_id, c.fan_id FROM conversions c
    WHERE c.smart_link_id = ANY($1::text[]) AND ($9::timestamptz IS NOT NULL OR $10::timestamptz IS NOT NULL)
      AND c.conversion_at >= coalesce($9, '-infinity') AND c.conversion_at < coalesce($10, 'infinity')
), told AS (
    SELECT c.account_id, c.fan_id, min(c.conversion_at) AS converted_at,
           count(*) FILTER (WHERE c.conversion_type = 'message_received') AS messages,
           count(*) FILTER (WHERE c.conversion_type = 'new_subscriber') AS subscriptions,
           coalesce(bool_or(c.previously_subscribed) FILTER (WHERE c.conversion_type = 'new_subscriber'), false) AS previously_subscribed
    FROM conversions c
    WHERE c.smart_link_id = ANY($1::text[]) AND c.retracted_at IS NULL AND c.conversion_type <> 'transaction_status'
      AND ($2::text IS NULL OR c.fan_id = $2)
      AND ($9::timestamptz IS NULL AND $10::timestamptz IS NULL OR (c.account_id, c.fan_id) IN (SELECT account_id, fan_id FROM there))
    GROUP BY c.account_id, c.fan_id
), taken AS (
    SELECT DISTINCT ON (t.account_id, t.fan_id, t.transaction_id) t.account_id, t.fan_id, t.transaction_id,
           t.amount_gross_cents AS gross_cents, t.amount_net_cents AS net_cents
    FROM conversions t
    WHERE t.conversion_type = 'transaction_status' AND t.transaction_status IN ('pending_return', 'undo') AND t.retracted_at IS NULL
      AND t.account_id IN (SELECT s.account_id FROM smart_links s WHERE s.smart_link_id = ANY($1::text[]))
      AND ($2::text IS NULL OR t.fan_id = $2)
    ORDER BY t.account_id, t.fan_id, t.transaction_id, t.transaction_status DESC  -- 'undo' is the last word
), paid AS (
    SELECT v.account_id, v.fan_id, sum(v.amount_gross_cents - coalesce(k.gross_cents, 0))::bigint AS gross_cents,
           sum(v.amount_net_cents - coalesce(k.net_cents, 0))::bigint AS net_cents,
           coalesce(sum(v.amount_net_cents - coalesce(k.net_cents, 0)) FILTER (WHERE v.transaction_type = 'tip'), 0)::bigint AS tips_cents,
           count(*) AS payments, max(v.conversion_at) AS last_payment_at
    FROM conversions v LEFT JOIN taken k USING (account_id, fan_id, transaction_id)
    WHERE v.smart_link_id = ANY($1::text[]) AND v.conversion_type = 'new_transaction' AND v.retracted_at IS NULL
      AND ($2::text IS NULL OR v.fan_id = $2)
      AND ($9::timestamptz IS NULL AND $10::timestamptz IS NULL OR (v.account_id, v.fan_id) IN (SELECT account_id, fan_id FROM there))
    GROUP BY v.account_id, v.fan_id
), wanted AS (
    SELECT t.*, coalesce(p.gross_cents, 0) AS gross_cents, coalesce(p.net_cents, 0) AS net_cents, coalesce(p.tips_cents, 0) AS tips_cents
    FROM told t LEFT JOIN paid p ON p.account_id = t.account_id AND p.fan_id = t.fan_id
    WHERE ($3::boolean IS NULL OR (messages > 0) = $3) AND ($4::bigint IS NULL OR messages >= $4)
      AND ($5::bigint IS NULL OR coalesce(net_cents, 0) >= $5) AND ($6::bigint IS NULL OR coalesce(tips_cents, 0) >= $6)
      AND ($7::boolean IS NULL OR previously_subscribed = $7)
      AND ($9::timestamptz IS NULL OR converted_at >= $9) AND ($10::timestamptz IS NULL OR converted_at < $10)
      AND ($8::boolean IS NULL OR $8 = (
        SELECT s.link_type = 'free_trial' OR (c.amount_gross_cents IS NOT NULL AND c.conversion_type = 'new_subscriber'
                                              AND coalesce(c.amount_gross_cents < a.subscribe_price_cents, false))
        FROM conversions c JOIN smart_links s USING (smart_link_id) JOIN accounts a ON a.account_id = c.account_id
        WHERE c.account_id = t.account_id AND c.fan_id = t.fan_id AND c.smart_link_id = ANY($1::text[]) AND c.retracted_at IS NULL
          AND c.conversion_type <> 'transaction_status'
        ORDER BY c.conversion_type <> 'new_subscriber', c.conversion_at, c.conversion_id LIMIT 1))
)

-- name: page
-- A page of them. $12 turns the order round.
, page AS (
    SELECT * FROM (
        SELECT wanted.*, $12::bigint * CASE $11::text
            WHEN 'revenue_net' THEN net_cents WHEN 'revenue_gross' THEN gross_cents WHEN 'tips_net' THEN tips_cents
            WHEN 'messages_sent_by_fan' THEN messages ELSE (extract(epoch FROM converted_at) * 1000000)::bigint END AS key
        FROM wanted
    ) keyed WHERE $13::bigint IS NULL OR (key, account_id, fan_id) < ($13, $14::text, $15::text)
    ORDER BY key DESC, account_id DESC, fan_id DESC LIMIT $16::bigint OFFSET $17::bigint
)

-- name: details
-- Of `page`: names, clicks and how each fan was won, by the links $1.
SELECT w.*, f.username, f.name, k.ecid, won.conversion_id, won.click_id, won.smart_link_id, won.price_cents, won.link_type,
       won.subscribe_price_cents, won.creator,
       won.link_type = 'free_trial' OR (won.price_cents IS NOT NULL AND coalesce(won.price_cents < won.subscribe_price_cents, false)) AS promo,
       EXISTS (SELECT FROM bindings b WHERE b.account_id = w.account_id AND b.fan_id = w.fan_id AND b.retracted_at IS NULL
               AND b.smart_link_id = ANY($1::text[]) AND b.valid_from = (
                   SELECT max(n.valid_from) FROM bindings n WHERE n.account_id = w.account_id AND n.fan_id = w.fan_id AND n.retracted_at IS NULL)) AS bound_here
FROM page w
CROSS JOIN LATERAL (
    SELECT c.conversion_id, c.click_id, c.smart_link_id, s.link_type, a.subscribe_price_cents, a.username AS creator,
           CASE WHEN c.conversion_type = 'new_subscriber' THEN c.amount_gross_cents END AS price_cents
    FROM conversions c JOIN smart_links s USING (smart_link_id) JOIN accounts a ON a.account_id = c.account_id
    WHERE c.account_id = w.account_id AND c.fan_id = w.fan_id AND c.smart_link_id = ANY($1::text[]) AND c.retracted_at IS NULL
      AND c.conversion_type <> 'transaction_status'
    ORDER BY c.conversion_type <> 'new_subscriber', c.conversion_at, c.conversion_id LIMIT 1
) won
LEFT JOIN fans f ON f.account_id = w.account_id AND f.fan_id = w.fan_id
LEFT JOIN LATERAL (SELECT c.ecid FROM clicks c WHERE c.click_id = won.click_id OFFSET 0) k ON true
ORDER BY w.key DESC, w.account_id DESC, w.fan_id DESC;

-- name: summary
-- All of them together.
SELECT count(*) AS fans, count(*) FILTER (WHERE messages >= 1) AS fans_1_message, count(*) FILTER (WHERE messages >= 3) AS fans_3_messages,
       coalesce(sum(net_cents), 0)::bigint AS net_cents, coalesce(sum(gross_cents), 0)::bigint AS gross_cents,
       coalesce(sum(tips_cents), 0)::bigint AS tips_cents FROM wanted;

-- name: spenders
-- Of `found`: who paid at least so much ($11), most first. Names are looked up for the page alone.
SELECT p.account_id, p.fan_id, p.gross_cents, p.net_cents, p.payments, p.last_payment_at, f.username, f.name FROM (
    SELECT * FROM paid WHERE gross_cents >= $11::bigint AND gross_cents > 0
    ORDER BY gross_cents DESC, account_id, fan_id LIMIT $12::bigint OFFSET $13::bigint
) p LEFT JOIN fans f USING (account_id, fan_id)
ORDER BY p.gross_cents DESC, p.account_id, p.fan_id;
