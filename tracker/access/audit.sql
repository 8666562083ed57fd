-- name: record
-- One act.
INSERT INTO audit_log (team_id, user_id, api_key_id, actor, address, action, object_kind, object_id, detail)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: entries
-- The team's acts, newest first, before an id.
SELECT audit_id, at, user_id, api_key_id, actor, address, action, object_kind, object_id, detail FROM audit_log
WHERE team_id = $1 AND ($2::bigint IS NULL OR audit_id < $2)
  AND ($3::text IS NULL OR object_kind = $3) AND ($4::text IS NULL OR object_id = $4)
  AND ($5::text IS NULL OR action = $5) AND ($6::text IS NULL OR user_id = $6) AND ($7::text IS NULL OR api_key_id = $7)
ORDER BY audit_id DESC LIMIT $8;
