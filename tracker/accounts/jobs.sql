-- Account jobs: periodic work per account, each run by one worker at a time under a lease.

-- name: seed
-- Every connected account has its jobs.
INSERT INTO account_jobs (account_id, job)
SELECT a.account_id, j.job FROM accounts a CROSS JOIN unnest($1::text[]) AS j (job)
WHERE a.disconnected_at IS NULL AND NOT EXISTS (SELECT FROM account_jobs x WHERE x.account_id = a.account_id AND x.job = j.job)
ORDER BY 1, 2
ON CONFLICT DO NOTHING;

-- name: wake
-- Run a job within $3 seconds; a job that is backing off keeps its pause unless $4 says its reason is gone.
INSERT INTO account_jobs (account_id, job, due_at) VALUES ($1, $2, now() + make_interval(secs => $3))
ON CONFLICT (account_id, job) DO UPDATE SET
    due_at = CASE WHEN $4 THEN least(account_jobs.due_at, excluded.due_at)
                  ELSE greatest(least(account_jobs.due_at, excluded.due_at), account_jobs.blocked_until) END,
    blocked_until = CASE WHEN $4 THEN NULL ELSE account_jobs.blocked_until END,
    generation = account_jobs.generation + 1;

-- name: claim
-- Take one due job. Its due time moves to the lease's end: a crash runs it again then, a wake before that is seen at finish.
UPDATE account_jobs j SET lease_until = now() + make_interval(secs => $1), lease_token = $2,
    due_at = now() + make_interval(secs => $1)
FROM (
    SELECT account_id, job FROM account_jobs
    WHERE due_at <= now() AND (lease_until IS NULL OR lease_until <= now())
    ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
) AS due
WHERE j.account_id = due.account_id AND j.job = due.job
RETURNING j.account_id, j.job, j.generation, j.failures, j.state;

-- name: renew
-- Hold on to a job that takes long; no row when the lease was lost.
UPDATE account_jobs SET lease_until = now() + make_interval(secs => $4),
    due_at = CASE WHEN generation = $5 THEN now() + make_interval(secs => $4) ELSE due_at END
WHERE account_id = $1 AND job = $2 AND lease_token = $3
RETURNING generation;

-- name: finish
-- The run is over: next run in $4 seconds, or sooner when somebody woke it meanwhile.
UPDATE account_jobs SET lease_until = NULL, lease_token = NULL, blocked_until = NULL, state = $6, updated_at = now(),
    last_error = nullif($7, ''), failures = CASE WHEN $7 = '' THEN 0 ELSE 1 END,
    due_at = CASE WHEN generation = $5 THEN now() + make_interval(secs => $4)
                  ELSE least(due_at, now() + make_interval(secs => $4)) END
WHERE account_id = $1 AND job = $2 AND lease_token = $3;

-- name: fail
-- The run failed: wait $4 seconds whoever wakes it, and keep what it said.
UPDATE account_jobs SET lease_until = NULL, lease_token = NULL, failures = failures + 1, last_error = $5,
    blocked_until = now() + make_interval(secs => $4), due_at = now() + make_interval(secs => $4), updated_at = now()
WHERE account_id = $1 AND job = $2 AND lease_token = $3;

-- name: release
-- The worker stops: somebody else may run the job at once.
UPDATE account_jobs SET lease_until = NULL, lease_token = NULL, due_at = now()
WHERE account_id = $1 AND job = $2 AND lease_token = $3;

-- name: account
-- What a job needs of its account.
SELECT account_id, provider, provider_account_id, platform_user_id, username, profile_url, shard, api_key_sealed,
       session_state, session_changed_at, created_at, import_prefix
FROM accounts WHERE account_id = $1;

-- name: session
-- What the account's page says of the creator's login; changed_at moves only when the state does.
UPDATE accounts SET session_state = $2, session_message = $3, session_changed_at = now()
WHERE account_id = $1 AND (session_state, session_message) IS DISTINCT FROM ($2, $3);

-- name: session_told
-- A webhook's word on the login; one older than what is known already is ignored.
UPDATE accounts SET session_state = $2, session_message = $3, session_changed_at = $4
WHERE account_id = $1 AND (session_changed_at <= $4 OR session_state = 'unknown')
RETURNING account_id;

-- name: session_proved
-- A call that needs the login succeeded.
UPDATE accounts SET session_state = 'ok', session_message = '', session_changed_at = now()
WHERE account_id = $1 AND session_state IN ('unknown', 'reconnecting')
RETURNING account_id;

-- name: describe
-- Who the creator is, as the provider tells; empty answers overwrite nothing.
UPDATE accounts SET
    platform_user_id = coalesce(nullif($2, ''), platform_user_id), username = coalesce(nullif($3, ''), username),
    display_name = coalesce(nullif($4, ''), display_name), subscribe_price_cents = coalesce($5, subscribe_price_cents),
    profile_url = CASE WHEN $3 <> '' AND (profile_url = '' OR profile_url = $6 || username) THEN $6 || $3 ELSE profile_url END
WHERE account_id = $1
  AND (platform_user_id, username, display_name, subscribe_price_cents, profile_url) IS DISTINCT FROM
      (coalesce(nullif($2, ''), platform_user_id), coalesce(nullif($3, ''), username), coalesce(nullif($4, ''), display_name),
       coalesce($5, subscribe_price_cents),
       CASE WHEN $3 <> '' AND (profile_url = '' OR profile_url = $6 || username) THEN $6 || $3 ELSE profile_url END)
RETURNING account_id;
