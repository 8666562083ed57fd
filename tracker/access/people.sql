-- name: anybody
-- Whether there is any person yet.
SELECT EXISTS (SELECT FROM users);

-- name: lock_first_run
-- One first run at a time.
SELECT pg_advisory_xact_lock(1134256493);

-- name: ownerless_team
-- The oldest team without a person: what `clickbind bootstrap` made.
SELECT team_id, name FROM teams t WHERE NOT EXISTS (SELECT FROM members m WHERE m.team_id = t.team_id)
ORDER BY created_at, team_id LIMIT 1;

-- name: insert_team
-- A team.
INSERT INTO teams (team_id, name) VALUES ($1, $2);

-- name: rename_team
-- A team's name.
UPDATE teams SET name = $2 WHERE team_id = $1;

-- name: lock_team
-- A team, locked: changes of its members happen one after the other.
SELECT team_id, name FROM teams WHERE team_id = $1 FOR UPDATE;

-- name: team
-- A team.
SELECT team_id, name, created_at FROM teams WHERE team_id = $1;

-- name: insert_user
-- A person.
INSERT INTO users (user_id, email, name, password_hash, password_changed_at) VALUES ($1, $2, $3, $4, now())
ON CONFLICT (email) DO NOTHING RETURNING user_id;

-- name: user_by_email
-- A person by e-mail address.
SELECT user_id, email, name, password_hash FROM users WHERE email = $1;

-- name: user
-- A person.
SELECT user_id, email, name, password_hash FROM users WHERE user_id = $1;

-- name: logged_in
-- Note a login.
UPDATE users SET last_login_at = now() WHERE user_id = $1;

-- name: set_password
-- Another password.
UPDATE users SET password_hash = $2, password_changed_at = now() WHERE user_id = $1;

-- name: rename_user
-- A person's name.
UPDATE users SET name = $2 WHERE user_id = $1;

-- name: teams_of
-- A person's teams, the oldest membership first.
SELECT t.team_id, t.name, m.role FROM members m JOIN teams t USING (team_id) WHERE m.user_id = $1 ORDER BY m.created_at, t.team_id;

-- name: insert_member
-- A person joins a team.
INSERT INTO members (team_id, user_id, role, permissions) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING user_id;

-- name: members
-- The team's members, the owner first.
SELECT m.user_id, u.email, u.name, m.role, m.permissions, m.created_at, u.last_login_at
FROM members m JOIN users u USING (user_id)
WHERE m.team_id = $1 AND ($2::text IS NULL OR m.user_id = $2) ORDER BY m.role <> 'owner', u.email;

-- name: change_member
-- Another role.
UPDATE members SET role = $3, permissions = $4 WHERE team_id = $1 AND user_id = $2;

-- name: demote_owner
-- The owner becomes an admin, before another is made owner.
UPDATE members SET role = 'admin' WHERE team_id = $1 AND role = 'owner';

-- name: remove_member
-- A person leaves a team.
DELETE FROM members WHERE team_id = $1 AND user_id = $2;

-- name: revoke_keys_of
-- The keys a person made go with them.
UPDATE api_keys SET revoked_at = now() WHERE team_id = $1 AND made_by = $2 AND revoked_at IS NULL RETURNING api_key_id;

-- name: revoke_invitations_of
-- The invitations a person made go with them.
UPDATE invitations SET revoked_at = now() WHERE team_id = $1 AND made_by = $2 AND accepted_at IS NULL AND revoked_at IS NULL;

-- name: insert_reset
-- A link to set a password, which ends earlier ones.
WITH earlier AS (DELETE FROM password_resets WHERE user_id = $2)
INSERT INTO password_resets (token_hash, user_id, expires_at) VALUES ($1, $2, now() + make_interval(secs => $3));

-- name: take_reset
-- Use a link to set a password: it works once.
DELETE FROM password_resets WHERE token_hash = $1 AND expires_at > now() RETURNING user_id;

-- name: reset
-- Whose password a link sets.
SELECT u.email FROM password_resets r JOIN users u USING (user_id) WHERE r.token_hash = $1 AND r.expires_at > now();

-- name: insert_invitation
-- An invitation, which ends earlier ones of the same person.
WITH earlier AS (
    UPDATE invitations SET revoked_at = now() WHERE team_id = $2 AND email = $3 AND accepted_at IS NULL AND revoked_at IS NULL
)
INSERT INTO invitations (invitation_id, team_id, email, role, permissions, token_hash, made_by, made_by_key, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now() + make_interval(secs => $9));

-- name: invitations
-- The team's open invitations, newest first.
SELECT i.invitation_id, i.email, i.role, i.permissions, i.created_at, i.expires_at, u.email AS made_by_email
FROM invitations i LEFT JOIN users u ON u.user_id = i.made_by
WHERE i.team_id = $1 AND i.accepted_at IS NULL AND i.revoked_at IS NULL AND i.expires_at > now()
  AND ($2::text IS NULL OR i.invitation_id = $2) ORDER BY i.created_at DESC, i.invitation_id LIMIT 1000;

-- name: open_invitation
-- The open invitation of a link, locked.
SELECT i.invitation_id, i.team_id, t.name AS team_name, i.email, i.role, i.permissions, i.made_by, i.made_by_key,
       EXISTS (SELECT FROM users u WHERE u.email = i.email) AS is_known
FROM invitations i JOIN teams t USING (team_id)
WHERE i.token_hash = $1 AND i.accepted_at IS NULL AND i.revoked_at IS NULL AND i.expires_at > now() FOR UPDATE OF i;

-- name: accept_invitation
-- It works once.
UPDATE invitations SET accepted_at = now() WHERE invitation_id = $1;

-- name: revoke_invitation
-- Take an invitation back.
UPDATE invitations SET revoked_at = now() WHERE team_id = $1 AND invitation_id = $2 AND accepted_at IS NULL AND revoked_at IS NULL
RETURNING invitation_id;
