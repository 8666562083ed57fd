-- name: use
-- The key, if it may be used, with the role of the person who made it; notes the use, at most once a minute. A key whose maker left the
-- team is no key.
WITH found AS (
    SELECT k.api_key_id, k.team_id, k.name, k.prefix, k.permissions, k.made_by, m.role, m.permissions AS granted
    FROM api_keys k LEFT JOIN members m ON m.team_id = k.team_id AND m.user_id = k.made_by
    WHERE k.key_hash = $1 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
      AND (k.made_by IS NULL OR m.user_id IS NOT NULL)
), used AS (
    UPDATE api_keys k SET last_used_at = now() FROM found f
    WHERE k.api_key_id = f.api_key_id AND (k.last_used_at IS NULL OR k.last_used_at < now() - interval '1 minute')
)
SELECT * FROM found;

-- name: authority
-- A living key and the role of its maker, as `use` would find it, without noting a use.
SELECT k.permissions, k.made_by, m.role, m.permissions AS granted
FROM api_keys k LEFT JOIN members m ON m.team_id = k.team_id AND m.user_id = k.made_by
WHERE k.team_id = $1 AND k.api_key_id = $2 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
  AND (k.made_by IS NULL OR m.user_id IS NOT NULL);

-- name: insert
-- A key, by its keyed hash. It ends no later than the key that made it.
INSERT INTO api_keys (api_key_id, team_id, name, prefix, key_hash, permissions, made_by, made_by_key, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, least($9::timestamptz, (SELECT expires_at FROM api_keys WHERE api_key_id = $8)));

-- name: keys
-- The team's keys, newest first, revoked ones included, with their makers.
SELECT k.api_key_id, k.name, k.prefix, k.permissions, k.created_at, k.last_used_at, k.expires_at, k.revoked_at, k.made_by, k.made_by_key,
       u.email AS maker_email, m.role, m.permissions AS granted, (k.made_by IS NOT NULL AND m.user_id IS NULL) AS orphaned
FROM api_keys k LEFT JOIN users u ON u.user_id = k.made_by
LEFT JOIN members m ON m.team_id = k.team_id AND m.user_id = k.made_by
WHERE k.team_id = $1 AND ($2::text IS NULL OR k.api_key_id = $2) ORDER BY k.created_at DESC, k.api_key_id DESC LIMIT $3 OFFSET $4;

-- name: rename
-- A key's name.
UPDATE api_keys SET name = $3 WHERE team_id = $1 AND api_key_id = $2 RETURNING api_key_id;

-- name: revoke
-- End a key and, unless they are to be kept, the keys made with it; already revoked ones stay as they are. Returns those ended.
WITH RECURSIVE doomed AS (
    SELECT api_key_id FROM api_keys WHERE team_id = $1 AND api_key_id = $2
    UNION
    SELECT k.api_key_id FROM api_keys k JOIN doomed d ON k.made_by_key = d.api_key_id WHERE NOT $3
)
UPDATE api_keys SET revoked_at = now() WHERE api_key_id IN (SELECT api_key_id FROM doomed) AND revoked_at IS NULL RETURNING api_key_id;
