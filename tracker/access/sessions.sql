-- name: open
-- A session of a user who looks at a team.
INSERT INTO sessions (session_id, token_hash, user_id, team_id, expires_at, address, user_agent)
VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5), $6, $7);

-- name: use
-- A living session with its person and their role; notes that it was seen, at most once a minute. $2: seconds it may lie idle.
WITH found AS (
    SELECT s.session_id, s.team_id, s.user_id, u.email, u.name, m.role, m.permissions
    FROM sessions s JOIN users u USING (user_id) JOIN members m USING (team_id, user_id)
    WHERE s.token_hash = $1 AND s.expires_at > now() AND s.last_seen_at > now() - make_interval(secs => $2)
), seen AS (
    UPDATE sessions s SET last_seen_at = now() FROM found f
    WHERE s.session_id = f.session_id AND s.last_seen_at < now() - interval '1 minute'
)
SELECT * FROM found;

-- name: of_user
-- A person's living sessions, the latest used first.
SELECT session_id, team_id, created_at, last_seen_at, expires_at, address, user_agent FROM sessions
WHERE user_id = $1 AND expires_at > now() AND last_seen_at > now() - make_interval(secs => $2) ORDER BY last_seen_at DESC LIMIT 100;

-- name: close
-- End one session of a person.
DELETE FROM sessions WHERE user_id = $1 AND session_id = $2 RETURNING session_id;

-- name: close_token
-- End the session of a token.
DELETE FROM sessions WHERE token_hash = $1 RETURNING session_id;

-- name: close_all
-- End a person's sessions, but one.
DELETE FROM sessions WHERE user_id = $1 AND session_id IS DISTINCT FROM $2;

-- name: close_in_team
-- End a person's sessions that look at a team.
DELETE FROM sessions WHERE user_id = $1 AND team_id = $2;

-- name: switch
-- Look at another team of the person's.
UPDATE sessions s SET team_id = m.team_id FROM members m
WHERE s.session_id = $1 AND m.user_id = s.user_id AND m.team_id = $2 RETURNING s.team_id;

-- name: sweep
-- Sessions and password links that are over.
WITH gone AS (DELETE FROM password_resets WHERE expires_at < now())
DELETE FROM sessions WHERE expires_at < now() OR last_seen_at < now() - make_interval(secs => $1);
