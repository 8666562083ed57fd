-- Creators' accounts. Every query names the team.

-- name: insert
-- A creator's connected account, or one that was disconnected before: it keeps its id, and so its fans and credits.
INSERT INTO accounts (account_id, team_id, provider, provider_account_id, username, shard, import_prefix)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (team_id, provider, provider_account_id) DO UPDATE
SET disconnected_at = NULL, session_state = 'unknown', session_message = '', session_changed_at = now(),
    username = coalesce(nullif(excluded.username, ''), accounts.username), import_prefix = excluded.import_prefix
WHERE accounts.disconnected_at IS NOT NULL
RETURNING account_id;

-- name: set_secrets
-- The sealed credential and webhook secret; a NULL leaves what is there.
UPDATE accounts SET api_key_sealed = coalesce($3, api_key_sealed), webhook_secret_sealed = coalesce($4, webhook_secret_sealed)
WHERE team_id = $1 AND account_id = $2;

-- name: page
-- The team's accounts with their health, in the order they were connected.
SELECT a.account_id, a.provider, a.provider_account_id, a.platform_user_id, a.username, a.display_name, a.profile_url,
       a.subscribe_price_cents, a.import_prefix, a.session_state, a.session_message, a.session_changed_at, a.created_at,
       (SELECT coalesce(jsonb_object_agg(p.offer, p.links), '{}') FROM
          (SELECT offer, count(*) AS links FROM inventory_links i
           WHERE i.account_id = a.account_id AND i.state = 'ready' AND i.role = 'pool' GROUP BY offer) p) AS pooled_links,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('job', j.job, 'due_at', j.due_at, 'ran_at', j.updated_at, 'failures', j.failures,
               'last_error', j.last_error) ORDER BY j.job), '[]') FROM account_jobs j WHERE j.account_id = a.account_id) AS jobs,
       (SELECT count(*) FROM smart_links s WHERE s.account_id = a.account_id AND s.state <> 'deleted') AS smart_links,
       (SELECT max(w.received_at) FROM (SELECT received_at FROM webhooks w WHERE w.account_id = a.account_id
                                        ORDER BY webhook_id DESC LIMIT 1) w) AS last_webhook_at
FROM accounts a
WHERE a.team_id = $1 AND a.disconnected_at IS NULL AND ($2::text IS NULL OR a.account_id = $2)
  AND ($3::text IS NULL OR a.platform_user_id = $3) AND ($4::text IS NULL OR lower(a.username) = lower($4))
ORDER BY a.created_at, a.account_id;

-- name: count
-- How many accounts there are, to spread new ones over the shards.
SELECT count(*) FROM accounts;

-- name: held
-- An account of the team, held until the change is done.
SELECT account_id, provider, provider_account_id, username FROM accounts
WHERE team_id = $1 AND account_id = $2 AND disconnected_at IS NULL FOR UPDATE;

-- name: update
-- What may change of an account by hand.
UPDATE accounts SET import_prefix = CASE WHEN $3 THEN $4 ELSE import_prefix END, profile_url = coalesce($5, profile_url)
WHERE team_id = $1 AND account_id = $2;

-- name: disconnect
-- Its credentials are gone; what it did stays.
UPDATE accounts SET disconnected_at = now(), api_key_sealed = NULL, webhook_secret_sealed = NULL,
    session_state = 'dead', session_message = 'disconnected', session_changed_at = now()
WHERE team_id = $1 AND account_id = $2;

-- name: pause_links
-- Without its account a smart link has no links to give out.
UPDATE smart_links SET state = 'paused', updated_at = now() WHERE team_id = $1 AND account_id = $2 AND state = 'active'
RETURNING smart_link_id;

-- name: drop_jobs
-- Nothing is to be done for it any more.
DELETE FROM account_jobs WHERE account_id = $1;
