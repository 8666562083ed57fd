-- Tags of links, whole numbers for destinations, and what the lists of the management API need to be quick.

-- Tags a team puts on smart links and on an account's tracking and trial links. target_id: the smart link's id, or our number of
-- the platform link (inventory_link_id) as text.
CREATE TABLE link_tags (
    team_id   text NOT NULL REFERENCES teams,
    kind      text NOT NULL CHECK (kind IN ('smart_links', 'tracking_links', 'trial_links')),
    target_id text COLLATE "C" NOT NULL,
    tag       text NOT NULL,
    PRIMARY KEY (team_id, kind, target_id, tag)
);
CREATE INDEX link_tags_by_tag ON link_tags (team_id, kind, tag);

-- The vendor's clients know a postback by a whole number.
ALTER TABLE destinations ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY;
CREATE UNIQUE INDEX destinations_by_number ON destinations (number);

-- Repeated visits as rows of a click list, newest first.
CREATE INDEX visits_by_account ON visits (account_id, visit_id);

-- A disconnected account has no credentials and no jobs; its fans and credits stay, and connecting it again finds them.
ALTER TABLE accounts ADD COLUMN disconnected_at timestamptz;
