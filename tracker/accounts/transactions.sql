-- Transactions: how far the money feed is read.

-- name: types
-- What is known of transactions whose type or payer a feed did not tell.
SELECT DISTINCT ON (t.transaction_id) t.transaction_id, e.fan_id, e.detail
FROM unnest($2::text[]) AS t (transaction_id)
CROSS JOIN LATERAL unnest(ARRAY['loading', 'done', 'pending_return', 'undo']) AS s (status)
JOIN platform_events e ON e.account_id = $1 AND e.event_key = 'tx:' || t.transaction_id || ':' || s.status
ORDER BY t.transaction_id, e.first_seen_at;

-- name: same_payment
-- The fan's payment of a moment and amount, not yet taken back under another chargeback's id ($5).
SELECT e.detail->>'transaction_id' FROM platform_events e
WHERE e.account_id = $1 AND e.fan_id = $2 AND e.kind = 'transaction' AND e.at = $3
  AND (e.detail->>'gross_cents')::bigint = $4 AND e.detail->>'transaction_id' <> $5
ORDER BY e.detail->>'transaction_id' LIMIT 1;

-- name: oldest_loading
-- The earliest payment still believed to be pending, within $2 days.
SELECT min(e.at) FROM platform_events e
WHERE e.account_id = $1 AND e.kind = 'transaction' AND e.at > now() - make_interval(days => $2)
  AND e.detail->>'status' = 'loading'
  AND NOT EXISTS (SELECT FROM platform_events d WHERE d.account_id = $1
                  AND d.event_key IN ('tx:' || (e.detail->>'transaction_id') || ':done',
                                      'tx:' || (e.detail->>'transaction_id') || ':pending_return',
                                      'tx:' || (e.detail->>'transaction_id') || ':undo'));
