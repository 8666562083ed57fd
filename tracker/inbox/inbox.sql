-- The webhook inbox: raw deliveries in, normalised facts out.

-- name: account
-- Whose webhook this is, and what its signature is checked with.
SELECT provider, webhook_secret_sealed FROM accounts WHERE account_id = $1;

-- name: keep
-- Keep deliveries, or count one more copy of each.
INSERT INTO webhooks (account_id, provider, dedup_key, event_type, body)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[])
ON CONFLICT (account_id, provider, dedup_key) DO UPDATE SET times_seen = webhooks.times_seen + 1
RETURNING account_id, provider, dedup_key, webhook_id, times_seen;

-- name: waiting
-- Deliveries nobody has looked at yet, locked for this transaction.
SELECT w.webhook_id, w.account_id, w.provider, w.event_type, w.body, w.received_at,
       a.team_id, a.provider_account_id, a.platform_user_id
FROM webhooks w JOIN accounts a ON a.account_id = w.account_id
WHERE w.processed_at IS NULL ORDER BY w.webhook_id LIMIT $1 FOR UPDATE OF w SKIP LOCKED;

-- name: waiting_one
-- One delivery out of a batch that failed.
SELECT w.webhook_id, w.account_id, w.provider, w.event_type, w.body, w.received_at,
       a.team_id, a.provider_account_id, a.platform_user_id
FROM webhooks w JOIN accounts a ON a.account_id = w.account_id
WHERE w.webhook_id = $1 AND w.processed_at IS NULL FOR UPDATE OF w SKIP LOCKED;

-- name: waiting_ids
-- The deliveries a failed batch may have held.
SELECT webhook_id FROM webhooks WHERE processed_at IS NULL ORDER BY webhook_id LIMIT $1;

-- name: sibling
-- Another account of the same team that a team-wide webhook names. Onlymonster has two ids for each: its own and the platform's.
SELECT account_id, platform_user_id FROM accounts WHERE team_id = $1 AND provider = $2 AND (provider_account_id = $3 OR (platform_user_id = $3 AND $2 = 'onlymonster'))
ORDER BY provider_account_id = $3 DESC LIMIT 1;

-- name: finish
-- What became of each delivery.
UPDATE webhooks w SET processed_at = now(), outcome = t.outcome, note = t.note
FROM unnest($1::bigint[], $2::text[], $3::text[]) AS t (webhook_id, outcome, note)
WHERE w.webhook_id = t.webhook_id;
