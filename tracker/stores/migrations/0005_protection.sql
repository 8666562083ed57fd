-- Data protection: who asked to be forgotten, how far anonymising got, and walking exports.

-- An erasure under way or done. subject_sealed names the person until what may still arrive late has been erased as well
-- (settles_at); afterwards only subject_hash is left, under the installation's hash key: it tells whether, not who.
CREATE TABLE erasures (
    erasure_id     text COLLATE "C" PRIMARY KEY,
    team_id        text NOT NULL REFERENCES teams,
    kind           text NOT NULL CHECK (kind IN ('fan', 'visitor')),
    pseudonym      text NOT NULL,                       -- stands in the rows that had to stay
    subject_hash   bytea NOT NULL,
    subject_sealed bytea,
    requested_at   timestamptz NOT NULL DEFAULT now(),
    swept_at       timestamptz,
    settles_at     timestamptz NOT NULL,
    settled_at     timestamptz,
    erased         jsonb NOT NULL DEFAULT '{}'          -- what was erased where: counts only
);
CREATE INDEX erasures_by_team ON erasures (team_id, requested_at);
CREATE INDEX erasures_unsettled ON erasures (requested_at) WHERE settled_at IS NULL;

-- Fans nothing is to be stored of again, by keyed hash.
CREATE TABLE erased_fans (
    account_id text NOT NULL,
    fan_hash   bytea NOT NULL,
    erased_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, fan_hash)
);

-- How far a job that walks a table once has got.
CREATE TABLE protection_progress (
    job      text PRIMARY KEY,
    position text NOT NULL
);

-- An erased fan's credits stand for ever as they are: there are no events left to fold, and a fold of nothing would retract them.
CREATE FUNCTION leave_erased_fan() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER erased_fans_are_not_folded BEFORE INSERT ON fan_queue FOR EACH ROW
    WHEN (starts_with(NEW.fan_id, 'erased:')) EXECUTE FUNCTION leave_erased_fan();

-- Retention deletes old raw webhooks, and old events of fans who were never credited.
CREATE INDEX webhooks_by_age ON webhooks (received_at);
CREATE INDEX log_rejects_by_age ON log_rejects (rejected_at);

-- Erasing a person asks who else has a value that reports list.
CREATE INDEX report_listed_by_value ON report_listed (value_id);
