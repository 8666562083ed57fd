-- Fans as each smart link's lists tell them: kept by the rollup job for the fans who are marked.

-- name: fans_workspace
-- What one run works on, emptied when it ends: rows as they were told (-1) and as they are told now (1).
CREATE TEMP TABLE IF NOT EXISTS credited (sign integer, smart_link_id text COLLATE "C", account_id text, fan_id text, converted_at timestamptz,
    messages integer, subscriptions integer, previously_subscribed boolean, payments integer, last_payment_at timestamptz, gross_cents bigint, net_cents bigint,
    tips_cents bigint) ON COMMIT DELETE ROWS;

-- name: see_fans
-- What was told of marked fans, and what there is to tell.
INSERT INTO credited
SELECT -1, f.* FROM fans_anew a JOIN link_fans f USING (account_id, fan_id)
UNION ALL
SELECT 1, f.* FROM fans_anew a
CROSS JOIN LATERAL (SELECT * FROM credited_fans v WHERE v.account_id = a.account_id AND v.fan_id = a.fan_id OFFSET 0) f;

-- name: forget_link_fans
-- What was told of them.
DELETE FROM link_fans f USING fans_anew a WHERE f.account_id = a.account_id AND f.fan_id = a.fan_id;

-- name: tell_link_fans
-- What there is to tell.
INSERT INTO link_fans SELECT smart_link_id, account_id, fan_id, converted_at, messages, subscriptions, previously_subscribed, payments,
       last_payment_at, gross_cents, net_cents, tips_cents FROM credited WHERE sign = 1;

-- name: add_fan_days
-- The difference, to the days on which they were won.
INSERT INTO link_fan_days AS r
SELECT smart_link_id, date_trunc('day', converted_at, 'UTC'), sum(sign), coalesce(sum(sign) FILTER (WHERE messages >= 1), 0),
       coalesce(sum(sign) FILTER (WHERE messages >= 3), 0), sum(sign * gross_cents), sum(sign * net_cents), sum(sign * tips_cents)
FROM credited GROUP BY 1, 2
ON CONFLICT (smart_link_id, day) DO UPDATE SET fans = r.fans + excluded.fans, fans_1_message = r.fans_1_message + excluded.fans_1_message,
    fans_3_messages = r.fans_3_messages + excluded.fans_3_messages, gross_cents = r.gross_cents + excluded.gross_cents,
    net_cents = r.net_cents + excluded.net_cents, tips_cents = r.tips_cents + excluded.tips_cents;
