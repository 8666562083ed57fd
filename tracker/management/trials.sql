-- name: destination
-- A destination of the team, of some kinds, with what is needed to send to it.
SELECT destination_id, kind, config, secrets_sealed FROM destinations
WHERE team_id = $1 AND kind = ANY($2::text[]) AND (destination_id = $3 OR number::text = $3) AND state <> 'deleted';
