-- Data protection: erasing a person, anonymising what is old, dropping what is older.

-- name: bar
-- Alone with a lock. Whoever stores facts of fans holds theirs shared, so that a fan's erasure is known before or waited for.
SELECT pg_advisory_xact_lock($1);

-- name: pass
-- The same, as those who store facts hold it.
SELECT pg_advisory_xact_lock_shared($1);

-- name: known
-- Which of these fans are erased.
SELECT account_id, fan_hash FROM erased_fans
WHERE (account_id, fan_hash) IN (SELECT * FROM unnest($1::text[], $2::bytea[]));

-- name: bury
-- Nothing is to be stored of this fan again.
INSERT INTO erased_fans (account_id, fan_hash) SELECT a, h FROM unnest($1::text[], $2::bytea[]) AS t (a, h) ON CONFLICT DO NOTHING;

-- name: request
-- An erasure begins.
INSERT INTO erasures (erasure_id, team_id, kind, pseudonym, subject_hash, subject_sealed, settles_at)
VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7)) RETURNING requested_at;

-- name: swept
-- What a pass erased, added to what passes before it did.
UPDATE erasures e SET swept_at = now(), erased = (
    SELECT coalesce(jsonb_object_agg(key, total), '{}') FROM (
        SELECT key, sum(value::bigint) AS total FROM (SELECT * FROM jsonb_each_text(e.erased) UNION ALL SELECT * FROM jsonb_each_text($2::jsonb)) b
        GROUP BY key
    ) sums
) WHERE e.erasure_id = $1 RETURNING erased;

-- name: settle
-- Nothing late is to be expected any more: the name is forgotten here too.
UPDATE erasures SET settled_at = now(), subject_sealed = NULL WHERE erasure_id = $1;

-- name: due
-- Erasures to be gone over again for what came late: after a minute, after ten, then every hour.
SELECT erasure_id, team_id, kind, pseudonym, subject_sealed, requested_at, settles_at <= now() AS last FROM erasures
WHERE settled_at IS NULL AND subject_sealed IS NOT NULL
  AND (swept_at IS NULL OR settles_at <= now() OR swept_at < now() - CASE
       WHEN now() - requested_at < interval '15 minutes' THEN interval '1 minute' ELSE interval '1 hour' END)
ORDER BY requested_at LIMIT 20;

-- name: erasures
-- A team's erasures, latest first.
SELECT erasure_id, kind, requested_at, swept_at, settles_at, settled_at, erased FROM erasures
WHERE team_id = $1 AND ($2::text IS NULL OR erasure_id = $2) ORDER BY requested_at DESC, erasure_id DESC LIMIT $3 OFFSET $4;

-- name: team_accounts
-- The accounts of a team an erasure reaches.
SELECT account_id FROM accounts WHERE team_id = $1 AND ($2::text IS NULL OR account_id = $2) ORDER BY account_id;

-- name: fan_accounts
-- Those of them that know a fan: by a row, or by events alone.
SELECT account_id, coalesce(max(username), '') AS username FROM (
    SELECT account_id, username FROM fans WHERE account_id = ANY($1::text[]) AND fan_id = $2
    UNION ALL
    SELECT account_id, '' FROM platform_events WHERE account_id = ANY($1::text[]) AND fan_id = $2
) k GROUP BY account_id ORDER BY account_id;

-- name: click_visitor
-- Who made a click of the team.
SELECT c.visitor FROM clicks c JOIN accounts a USING (account_id) WHERE a.team_id = $1 AND c.click_id = $2 AND NOT c.is_bot;

-- name: fan_visitors
-- Who made the clicks this fan was ever credited to.
SELECT DISTINCT c.visitor FROM (
    SELECT click_id FROM bindings WHERE account_id = $1 AND fan_id = $2
    UNION SELECT click_id FROM conversions WHERE account_id = $1 AND fan_id = $2
) k JOIN clicks c USING (click_id) WHERE NOT starts_with(c.visitor, 'erased:');

-- name: visitor_fans
-- Fans credited to clicks of these visitors, for a person to decide about.
SELECT DISTINCT b.account_id, b.fan_id FROM clicks c JOIN bindings b ON b.click_id = c.click_id AND b.retracted_at IS NULL
WHERE c.account_id = ANY($1::text[]) AND c.visitor = ANY($2::text[]) AND NOT c.is_bot AND NOT starts_with(b.fan_id, 'erased:') LIMIT 100;

-- name: hold_fan
-- Waits for a fold of this fan that is running, and keeps others off until the end of the transaction.
INSERT INTO fan_queue (account_id, fan_id, due_at) VALUES ($1, $2, 'infinity')
ON CONFLICT (account_id, fan_id) DO UPDATE SET due_at = 'infinity';

-- name: leave_fan
-- Nothing is left to fold.
DELETE FROM fan_queue WHERE account_id = $1 AND fan_id = $2;

-- name: stand_in
-- A nameless fan for the credits to belong to.
INSERT INTO fans (account_id, fan_id, first_subscribed_at, first_seen_at)
SELECT account_id, $3, first_subscribed_at, first_seen_at FROM fans f WHERE account_id = $1 AND fan_id = $2
  AND (EXISTS (SELECT FROM bindings b WHERE b.account_id = $1 AND b.fan_id = $2)
       OR EXISTS (SELECT FROM conversions v WHERE v.account_id = $1 AND v.fan_id = $2))
ON CONFLICT (account_id, fan_id) DO NOTHING;

-- name: move_bindings
-- Credits stay, their fan has no name.
UPDATE bindings SET fan_id = $3, event_keys = '{}' WHERE account_id = $1 AND fan_id = $2;

-- name: move_conversions
-- Money stays; payments keep what tells them apart, so that what was taken back stays taken back.
WITH names AS (
    SELECT transaction_id, 'erased:' || gen_random_uuid() AS name FROM conversions
    WHERE account_id = $1 AND fan_id = $2 AND transaction_id IS NOT NULL GROUP BY transaction_id
)
UPDATE conversions v SET fan_id = $3, event_keys = '{}', transaction_description = NULL,
    transaction_id = (SELECT n.name FROM names n WHERE n.transaction_id = v.transaction_id)
WHERE v.account_id = $1 AND v.fan_id = $2;

-- name: move_link_fans
-- What lists tell of the fan goes to the nameless one; the rollup job, told by the conversions, tells it anew.
UPDATE link_fans SET fan_id = $3 WHERE account_id = $1 AND fan_id = $2;

-- name: delete_events
-- What the platform told of the fan.
DELETE FROM platform_events WHERE account_id = $1 AND fan_id = $2;

-- name: delete_fan
-- The fan.
DELETE FROM fans WHERE account_id = $1 AND fan_id = $2;

-- name: empty_webhooks
-- Raw webhooks that name the fan: $2 is a regular expression of the names. That they were received stays known.
UPDATE webhooks SET body = '\x', note = 'erased' WHERE account_id = ANY($1::text[]) AND processed_at IS NOT NULL AND body <> '\x' AND encode(body, 'escape') ~ $2;

-- name: empty_webhook
-- A webhook of an erased fan, once it was read.
UPDATE webhooks SET body = '\x', note = 'about an erased fan' WHERE webhook_id = ANY($1::bigint[]);

-- name: scrub_clicks
-- The visitor's clicks until then count on, without what says who it was. Campaign, country and kind of device say no more than
-- thousands share. What attribution compares stays comparable: one visitor under another name, unequal ecids unequal.
WITH mine AS (
    SELECT click_id, ecid FROM clicks
    WHERE account_id = ANY($1::text[]) AND visitor = $2 AND NOT is_bot AND clicked_at <= $4
), names AS MATERIALIZED (
    SELECT ecid, 'erased:' || gen_random_uuid() AS name FROM mine WHERE ecid <> '' GROUP BY ecid
)
UPDATE clicks c SET visitor = $3, ip = NULL, user_agent = NULL, accept_language = NULL, referrer = NULL, landing_url = NULL,
    ecid = (SELECT n.name FROM names n WHERE n.ecid = m.ecid), fbclid = NULL, ttclid = NULL, sccid = NULL, gclid = NULL,
    gbraid = NULL, wbraid = NULL, aff_s1 = NULL, aff_s2 = NULL, aff_s3 = NULL, aff_s4 = NULL, aff_s5 = NULL,
    other_params = NULL, fbp = NULL, fbc = NULL, ttp = NULL, scid = NULL
FROM mine m WHERE c.click_id = m.click_id;

-- name: events_of
-- What may have been told of the nameless: their conversions, their clicks, and what those clicks were credited with.
SELECT conversion_id AS event_id FROM conversions WHERE account_id = ANY($1::text[]) AND fan_id = ANY($2::text[])
UNION
SELECT c.click_id FROM clicks c WHERE c.account_id = ANY($1::text[]) AND c.visitor = ANY($2::text[]) AND NOT c.is_bot
UNION
SELECT v.conversion_id FROM clicks c JOIN conversions v USING (click_id)
WHERE c.account_id = ANY($1::text[]) AND c.visitor = ANY($2::text[]) AND NOT c.is_bot;

-- name: empty_facts
-- Frozen facts keep what is the seller's own.
UPDATE delivery_events SET facts = (
    SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(facts)
    WHERE key IN ('smart_link_id', 'smart_link_name', 'ofapi_account_id', 'conversion_type', 'transaction_type', 'erased')
) || '{"erased": "1"}' WHERE event_id = ANY($1::text[]) AND NOT facts ? 'erased';

-- name: end_deliveries
-- Nothing more is told of it, and nobody can replay it; what was delivered was delivered. What is being sent this moment is
-- left to whoever holds its lease, and caught by the next pass.
UPDATE deliveries SET state = CASE WHEN state = 'delivered' THEN state ELSE 'skipped' END, verdict = 'erased',
    finished_at = coalesce(finished_at, now()), lease_until = NULL, lease_token = NULL
WHERE event_id = ANY($1::text[]) AND verdict IS DISTINCT FROM 'erased'
  AND (state <> 'waiting' OR lease_until IS NULL OR lease_until < now());

-- name: empty_attempts
-- Requests and answers as they went over the wire.
UPDATE attempts SET request = '', answer = '', verdict = 'erased' WHERE event_id = ANY($1::text[]) AND verdict <> 'erased';

-- name: delete_rejects
-- Log entries nobody understood, if they name the visitor.
DELETE FROM log_rejects WHERE position($1::bytea IN body) > 0;

-- name: progress
-- How far a walk has got.
SELECT position FROM protection_progress WHERE job = $1;

-- name: advance
-- It got further.
INSERT INTO protection_progress (job, position) VALUES ($1, $2) ON CONFLICT (job) DO UPDATE SET position = excluded.position;

-- name: longest_window
-- Until when a click may be credited: the longest window any smart link ever had, in seconds.
SELECT coalesce(max(window_seconds), 21600) FROM smart_link_windows;

-- name: anonymise
-- A batch of clicks by their ids: the network of the address stays (/24, /48), the user agent goes. Returns where to go on.
WITH batch AS (
    SELECT click_id FROM clicks WHERE click_id > $1 AND click_id < $2 ORDER BY click_id LIMIT $3
), changed AS (
    UPDATE clicks c SET user_agent = NULL, accept_language = NULL,
        ip = network(set_masklen(c.ip, least(masklen(c.ip), CASE family(c.ip) WHEN 4 THEN 24 ELSE 48 END)))::inet
    FROM batch b WHERE c.click_id = b.click_id AND c.click_id > $1 AND c.click_id < $2
      AND (c.user_agent IS NOT NULL OR c.accept_language IS NOT NULL OR masklen(c.ip) > CASE family(c.ip) WHEN 4 THEN 24 ELSE 48 END)
    RETURNING 1
)
SELECT (SELECT max(click_id) FROM batch) AS last, (SELECT count(*) FROM changed) AS changed;

-- name: anonymise_facts
-- The same of the facts of a day's events.
UPDATE delivery_events SET facts = facts - '{_ip,_user_agent}'::text[] WHERE day = $1 AND facts ?| '{_ip,_user_agent}'::text[];

-- name: oldest_facts
-- The first day that may hold facts to anonymise.
SELECT min(day) FROM delivery_events WHERE day > $1 AND day < $2;

-- name: partitions
-- The partitions of a table with their bounds and what was done to them.
SELECT c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bounds, obj_description(c.oid, 'pg_class') AS remark
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = $1::text::regclass AND pg_get_expr(c.relpartbound, c.oid) <> 'DEFAULT' ORDER BY c.relname;

-- name: uncounted
-- Whether the rollup job has still to count clicks or visits of before then.
SELECT EXISTS (SELECT FROM report_marks WHERE kind = 'clicks' AND hour < $1)
    OR EXISTS (SELECT FROM report_notes n CROSS JOIN LATERAL unnest(string_to_array(n.click_ids || ',' || n.visit_ids, ',')) i (id)
               WHERE i.id <> '' AND i.id < ulid_from($1));

-- name: old_webhooks
-- Raw webhooks past their time, a batch.
DELETE FROM webhooks WHERE webhook_id IN (
    SELECT webhook_id FROM webhooks WHERE received_at < $1 AND processed_at IS NOT NULL ORDER BY received_at LIMIT $2);

-- name: old_rejects
-- Log entries nobody understood, likewise.
DELETE FROM log_rejects WHERE reject_id IN (SELECT reject_id FROM log_rejects WHERE rejected_at < $1 ORDER BY rejected_at LIMIT $2);

-- name: old_audit
-- The audit log, likewise.
DELETE FROM audit_log WHERE audit_id IN (SELECT audit_id FROM audit_log WHERE at < $1 ORDER BY audit_id LIMIT $2);

-- name: old_events
-- Payments and messages of fans who came through no link and have no credit: nothing will ever be made of them. $1, $2: walk
-- the fans from there, so many.
WITH batch AS (
    SELECT f.account_id, f.fan_id FROM fans f WHERE (f.account_id, f.fan_id) > ($1, $2) ORDER BY f.account_id, f.fan_id LIMIT $4
), gone AS (
    DELETE FROM platform_events e USING batch b
    WHERE e.account_id = b.account_id AND e.fan_id = b.fan_id AND e.kind IN ('transaction', 'message') AND e.at < $3
      AND NOT EXISTS (SELECT FROM platform_events l WHERE l.account_id = b.account_id AND l.fan_id = b.fan_id AND l.kind = 'link_subscriber')
      AND NOT EXISTS (SELECT FROM bindings k WHERE k.account_id = b.account_id AND k.fan_id = b.fan_id)
    RETURNING 1
)
SELECT account_id, fan_id, (SELECT count(*) FROM gone) AS deleted FROM batch ORDER BY account_id DESC, fan_id DESC LIMIT 1;
