-- The management API's queries. Every query of a team's things names the team.

-- name: insert_team
-- A tenant.
INSERT INTO teams (team_id, name) VALUES ($1, $2);
