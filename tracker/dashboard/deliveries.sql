-- name: replay_progress
-- Of a replay of a destination ($2; NULL: of all the team's) begun at $3: how many still wait for their first try, and how the
-- attempts made since then went.
WITH chosen AS (SELECT destination_id FROM destinations WHERE team_id = $1 AND ($2::text IS NULL OR destination_id = $2))
SELECT (SELECT count(*) FROM deliveries d JOIN chosen USING (destination_id)
        WHERE d.state = 'waiting' AND d.verdict = 'replay asked for') AS untried,
       (SELECT count(*) FROM attempts a JOIN chosen USING (destination_id) WHERE a.started_at >= $3 AND a.outcome = 'delivered') AS taken,
       (SELECT count(*) FROM attempts a JOIN chosen USING (destination_id) WHERE a.started_at >= $3 AND a.outcome <> 'delivered') AS refused;
