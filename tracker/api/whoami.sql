-- Who a key belongs to.

-- name: whoami
-- A caller's team and key.
SELECT t.name AS team_name, k.name AS key_name, k.created_at, k.last_used_at
FROM teams t LEFT JOIN api_keys k ON k.team_id = t.team_id AND k.api_key_id = $2 WHERE t.team_id = $1;
