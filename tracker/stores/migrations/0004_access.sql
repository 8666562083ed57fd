-- Access: people, their roles in teams, invitations, sessions, what API keys may do, and who did what.
-- Tokens (sessions, invitations, password resets) are stored as keyed hashes only, like API keys.

CREATE TABLE users (
    user_id             text COLLATE "C" PRIMARY KEY,
    email               text NOT NULL UNIQUE,          -- lower case, trimmed
    name                text NOT NULL DEFAULT '',
    password_hash       text,                          -- tracker/access/passwords.py; NULL: cannot log in until one is set
    created_at          timestamptz NOT NULL DEFAULT now(),
    password_changed_at timestamptz,
    last_login_at       timestamptz
);

-- A person's role in a team, and what is granted on top of it (spec 10). A team has at most one owner.
CREATE TABLE members (
    team_id     text NOT NULL REFERENCES teams,
    user_id     text COLLATE "C" NOT NULL REFERENCES users,
    role        text NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'developer', 'viewer', 'custom')),
    permissions text[] NOT NULL DEFAULT '{}',          -- granted beyond the role
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (team_id, user_id)
);
CREATE UNIQUE INDEX members_one_owner ON members (team_id) WHERE role = 'owner';
CREATE INDEX members_by_user ON members (user_id);

-- What a key may do never exceeds what made it: the user while a member, or the key made_by_key when no user stands behind it.
ALTER TABLE api_keys
    ADD COLUMN permissions text[],                     -- NULL: everything its maker may
    ADD COLUMN made_by text COLLATE "C" REFERENCES users,
    ADD COLUMN made_by_key text COLLATE "C" REFERENCES api_keys;
CREATE INDEX api_keys_by_team ON api_keys (team_id, created_at);
CREATE INDEX api_keys_by_parent ON api_keys (made_by_key) WHERE made_by_key IS NOT NULL;

CREATE TABLE invitations (
    invitation_id text COLLATE "C" PRIMARY KEY,
    team_id       text NOT NULL REFERENCES teams,
    email         text NOT NULL,
    role          text NOT NULL CHECK (role IN ('admin', 'member', 'developer', 'viewer', 'custom')),
    permissions   text[] NOT NULL DEFAULT '{}',
    token_hash    bytea NOT NULL UNIQUE,
    made_by       text COLLATE "C" REFERENCES users,
    made_by_key   text COLLATE "C" REFERENCES api_keys,
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL,
    accepted_at   timestamptz,
    revoked_at    timestamptz
);
CREATE INDEX invitations_by_team ON invitations (team_id, created_at);

CREATE TABLE password_resets (
    token_hash bytea PRIMARY KEY,
    user_id    text COLLATE "C" NOT NULL REFERENCES users,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX password_resets_by_user ON password_resets (user_id);

CREATE TABLE sessions (
    session_id   text COLLATE "C" PRIMARY KEY,         -- what is shown and logged; the token is the cookie's alone
    token_hash   bytea NOT NULL UNIQUE,
    user_id      text COLLATE "C" NOT NULL REFERENCES users,
    team_id      text NOT NULL REFERENCES teams,       -- the team it looks at
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    address      text NOT NULL DEFAULT '',
    user_agent   text NOT NULL DEFAULT ''
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Who did what. actor is the name of that time (an address, a key's name and prefix), so that the log outlives people and keys.
CREATE TABLE audit_log (
    audit_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    team_id     text NOT NULL REFERENCES teams,
    at          timestamptz NOT NULL DEFAULT now(),
    user_id     text COLLATE "C",
    api_key_id  text COLLATE "C",
    actor       text NOT NULL,
    address     text NOT NULL DEFAULT '',
    action      text NOT NULL,                         -- 'smart_link.created', 'member.removed', …
    object_kind text NOT NULL,
    object_id   text NOT NULL,
    detail      jsonb NOT NULL DEFAULT '{}'            -- never a secret
);
CREATE INDEX audit_log_by_team ON audit_log (team_id, audit_id DESC);
CREATE INDEX audit_log_by_object ON audit_log (team_id, object_kind, object_id, audit_id DESC);
