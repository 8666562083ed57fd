-- The foundation: tenants, links, the click log's truth, platform events, credits, deliveries.
-- Ids that people read (click, smart link, conversion) are text in the "C" collation: an id pasted from a log finds its row.
-- A ULID starts with its time, so tables that grow with traffic are range-partitioned by their id: unique ids, cheap drops.
-- Money is integer cents (USD). Times are timestamptz, UTC.

-- Tenants -----------------------------------------------------------------------------------------

CREATE TABLE teams (
    team_id    text COLLATE "C" PRIMARY KEY,
    name       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- What must outlive a change of the secret key: sealed under it, re-sealed when it changes. 'api key hash' is api_keys' hash key.
CREATE TABLE installation_values (
    name   text PRIMARY KEY,
    sealed bytea NOT NULL
);

-- key_hash is HMAC-SHA256 under the installation's hash key; the key itself is shown once and never stored.
CREATE TABLE api_keys (
    api_key_id   text COLLATE "C" PRIMARY KEY,
    team_id      text NOT NULL REFERENCES teams,
    name         text NOT NULL,
    prefix       text NOT NULL,
    key_hash     bytea NOT NULL UNIQUE,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    expires_at   timestamptz,
    revoked_at   timestamptz
);

CREATE TABLE accounts (
    account_id            text COLLATE "C" PRIMARY KEY,
    team_id               text NOT NULL REFERENCES teams,
    provider              text NOT NULL,              -- 'onlyfansapi' | 'onlymonster' | 'ofauth' | 'fansly'
    provider_account_id   text NOT NULL,              -- the provider's own id of this account
    platform_user_id      text NOT NULL DEFAULT '',   -- the creator's id on the platform
    username              text NOT NULL DEFAULT '',
    display_name          text NOT NULL DEFAULT '',
    profile_url           text NOT NULL DEFAULT '',
    subscribe_price_cents integer,                    -- 0 = free page, NULL = not known yet
    shard                 smallint NOT NULL,          -- which {sN} hash tag its pools and click log live under
    api_key_sealed        bytea,                      -- provider credential, sealed (tracker/secrets.py)
    webhook_secret_sealed bytea,
    import_prefix         text,                       -- links found there and named so join the pools, where none can be made; NULL: none
    session_state         text NOT NULL DEFAULT 'unknown',  -- 'ok' | 'reconnecting' | 'dead' | 'unknown'
    session_message       text NOT NULL DEFAULT '',
    session_changed_at    timestamptz NOT NULL DEFAULT now(),
    created_at            timestamptz NOT NULL DEFAULT now(),
    UNIQUE (team_id, provider, provider_account_id)
);

-- Smart links and inventory ---------------------------------------------------------------------------

CREATE TABLE smart_links (
    smart_link_id   text COLLATE "C" PRIMARY KEY,     -- ULID, upper case
    team_id         text NOT NULL REFERENCES teams,
    account_id      text NOT NULL REFERENCES accounts,
    name            text NOT NULL,
    link_type       text NOT NULL CHECK (link_type IN ('tracking_link', 'free_trial')),
    free_trial_days smallint,
    offer           text NOT NULL,                    -- pool name: 'tracking' | 'trial-<days>'
    window_seconds  integer NOT NULL DEFAULT 21600 CHECK (window_seconds BETWEEN 1 AND 2592000),
    fallback_url    text NOT NULL DEFAULT '',
    state           text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'deleted')),
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CHECK ((link_type = 'free_trial') = (free_trial_days IS NOT NULL))
);
CREATE INDEX smart_links_by_account ON smart_links (account_id);
CREATE INDEX smart_links_by_team ON smart_links (team_id, created_at);

-- Every window a smart link has had. A click is judged by the window of its time: changing a link's window moves no fan who
-- is bound already. Kept by a trigger, so that no writer of smart_links can forget it.
CREATE TABLE smart_link_windows (
    smart_link_id  text COLLATE "C" NOT NULL REFERENCES smart_links ON DELETE CASCADE,
    valid_from     timestamptz NOT NULL,
    window_seconds integer NOT NULL,
    PRIMARY KEY (smart_link_id, valid_from)
);
CREATE FUNCTION keep_smart_link_window() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO smart_link_windows (smart_link_id, valid_from, window_seconds)
    VALUES (NEW.smart_link_id, CASE TG_OP WHEN 'INSERT' THEN '-infinity'::timestamptz ELSE clock_timestamp() END, NEW.window_seconds);
    RETURN NULL;
END $$;
CREATE TRIGGER smart_link_created AFTER INSERT ON smart_links FOR EACH ROW EXECUTE FUNCTION keep_smart_link_window();
CREATE TRIGGER smart_link_window_changed AFTER UPDATE OF window_seconds ON smart_links FOR EACH ROW
    WHEN (OLD.window_seconds IS DISTINCT FROM NEW.window_seconds) EXECUTE FUNCTION keep_smart_link_window();

-- One row per real platform link. A row is written in state 'creating' before the provider is asked, under a name that
-- carries inventory_link_id, so a create that timed out but succeeded is found by name and never made twice.
CREATE TABLE inventory_links (
    inventory_link_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id        text NOT NULL REFERENCES accounts,
    offer             text NOT NULL,
    kind              text NOT NULL CHECK (kind IN ('tracking_link', 'free_trial')),
    role              text NOT NULL DEFAULT 'pool' CHECK (role IN ('pool', 'reserve', 'external')),
    state             text NOT NULL CHECK (state IN ('creating', 'ready', 'retired')),
    provider_link_id  text,
    name              text NOT NULL DEFAULT '',
    url               text,
    claim_limit       integer,                        -- trials: how many fans may claim it
    expires_at        timestamptz,                    -- trials: when the offer ends
    clicks_seen       integer NOT NULL DEFAULT 0,     -- the provider's counters as last read
    subscribers_seen  integer NOT NULL DEFAULT 0,
    subscribers_read  integer NOT NULL DEFAULT 0,     -- the counter value up to which its subscriber list has been read
    created_at        timestamptz NOT NULL DEFAULT now(),
    create_started_at timestamptz,
    retired_at        timestamptz,
    retired_reason    text,
    UNIQUE (account_id, kind, provider_link_id)
);
CREATE INDEX inventory_links_by_pool ON inventory_links (account_id, offer, state);

-- Clicks: written by the recorder only ------------------------------------------------------------------

CREATE TABLE clicks (
    click_id          text COLLATE "C" NOT NULL PRIMARY KEY,  -- ULID, lower case; its time is clicked_at
    smart_link_id     text COLLATE "C" NOT NULL,
    account_id        text NOT NULL,
    clicked_at        timestamptz NOT NULL,
    last_visit_at     timestamptz NOT NULL,
    gross_clicks      integer NOT NULL DEFAULT 1,
    visitor           text COLLATE "C" NOT NULL,
    visitor_by        text NOT NULL,                  -- 'cookie' | 'fingerprint' | 'new'
    inventory_link_id bigint,
    lease             text NOT NULL,                  -- 'exclusive' | 'shared' | 'reserve' | 'none'
    spilled           boolean NOT NULL DEFAULT false, -- answered in degraded mode, replayed from the spill
    is_bot            boolean NOT NULL DEFAULT false,
    bot_reason        text,
    ip                inet,
    country           text,
    user_agent        text,
    browser           text,
    browser_version   text,
    os                text,
    device_type       text,                           -- 'mobile' | 'tablet' | 'desktop' | 'bot' | 'other'
    referrer          text,
    accept_language   text,
    landing_url       text,
    ecid              text,
    fbclid            text,
    ttclid            text,
    sccid             text,
    gclid             text,
    gbraid            text,
    wbraid            text,
    utm_source        text,
    utm_medium        text,
    utm_campaign      text,
    utm_term          text,
    utm_content       text,
    aff_s1            text,
    aff_s2            text,
    aff_s3            text,
    aff_s4            text,
    aff_s5            text,
    other_params      text,
    fbp               text,
    fbc               text,
    ttp               text,
    scid              text,
    truncated         text[]                          -- names of the fields that were cut to their cap
) PARTITION BY RANGE (click_id);
CREATE INDEX clicks_by_link ON clicks (smart_link_id, click_id);
CREATE INDEX clicks_by_inventory ON clicks (inventory_link_id, click_id) WHERE inventory_link_id IS NOT NULL;
CREATE INDEX clicks_by_visitor ON clicks (account_id, visitor, click_id) WHERE NOT is_bot;
CREATE INDEX clicks_not_alone ON clicks (smart_link_id, click_id) WHERE lease <> 'exclusive' AND NOT is_bot;
CREATE TABLE clicks_rest PARTITION OF clicks DEFAULT;

-- Every later visit of a click (duplicates). The first visit is the click itself.
CREATE TABLE visits (
    visit_id          text COLLATE "C" NOT NULL PRIMARY KEY,  -- ULID of that request
    click_id          text COLLATE "C" NOT NULL,
    account_id        text NOT NULL,
    visited_at        timestamptz NOT NULL,
    visitor_by        text NOT NULL,
    inventory_link_id bigint
) PARTITION BY RANGE (visit_id);
CREATE INDEX visits_by_click ON visits (click_id);
CREATE INDEX visits_by_inventory ON visits (inventory_link_id, visit_id) WHERE inventory_link_id IS NOT NULL;
CREATE TABLE visits_rest PARTITION OF visits DEFAULT;

-- Refused speculative loads: counted, never clicks.
CREATE TABLE prefetches (
    visit_id      text COLLATE "C" NOT NULL PRIMARY KEY,
    smart_link_id text COLLATE "C" NOT NULL
) PARTITION BY RANGE (visit_id);
CREATE TABLE prefetches_rest PARTITION OF prefetches DEFAULT;

-- Exact hourly counters, advanced in the transaction that stores the rows they count.
CREATE TABLE click_hours (
    smart_link_id text COLLATE "C" NOT NULL,
    hour          timestamptz NOT NULL,
    clicks        bigint NOT NULL DEFAULT 0,          -- not bots
    gross_clicks  bigint NOT NULL DEFAULT 0,          -- clicks + their duplicates
    bots          bigint NOT NULL DEFAULT 0,
    prefetches    bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (smart_link_id, hour)
);

-- How far each shard's log is recorded; moves in the same transaction as the rows.
CREATE TABLE stream_positions (
    shard          smallint PRIMARY KEY,
    replication_id text NOT NULL,
    entry_id       text NOT NULL,
    updated_at     timestamptz NOT NULL DEFAULT now()
);

-- Log entries that could not be understood: kept for a person to look at, never blocking the log.
CREATE TABLE log_rejects (
    reject_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    shard       smallint NOT NULL,
    entry_id    text NOT NULL,
    reason      text NOT NULL,
    body        bytea NOT NULL,
    rejected_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX log_rejects_by_entry ON log_rejects (shard, entry_id);

-- Platform events ----------------------------------------------------------------------------------------

-- Webhook deliveries as received. One row per provider event id; duplicates are counted, not stored.
CREATE TABLE webhooks (
    webhook_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id   text NOT NULL REFERENCES accounts,
    provider     text NOT NULL,
    dedup_key    text NOT NULL,
    event_type   text NOT NULL,
    body         bytea NOT NULL,
    received_at  timestamptz NOT NULL DEFAULT now(),
    times_seen   integer NOT NULL DEFAULT 1,
    processed_at timestamptz,
    outcome      text,                                -- 'used' | 'ignored' | 'rejected'
    note         text,
    UNIQUE (account_id, provider, dedup_key)
);
CREATE INDEX webhooks_waiting ON webhooks (webhook_id) WHERE processed_at IS NULL;

-- What the platform is known to have done, normalised: the input of the fold. event_key identifies the fact, whoever told it.
CREATE TABLE platform_events (
    account_id        text NOT NULL REFERENCES accounts,
    event_key         text NOT NULL,
    kind              text NOT NULL,                  -- 'subscribed' | 'link_subscriber' | 'transaction' | 'message'
    fan_id            text NOT NULL,
    at                timestamptz NOT NULL,
    precision_seconds smallint NOT NULL DEFAULT 0,    -- 60: floored to the minute; 0: exact; -1: only first seen, no platform time
    inventory_link_id bigint,
    detail            jsonb NOT NULL DEFAULT '{}',
    source            text NOT NULL,                  -- 'webhook' | 'poll'
    first_seen_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, event_key)
);
CREATE INDEX platform_events_by_fan ON platform_events (account_id, fan_id);
-- A click recorded late finds the fans whose subscription through its link is already known.
CREATE INDEX platform_events_by_link ON platform_events (inventory_link_id, at) WHERE inventory_link_id IS NOT NULL;

CREATE TABLE fans (
    account_id          text NOT NULL REFERENCES accounts,
    fan_id              text NOT NULL,
    username            text NOT NULL DEFAULT '',
    name                text NOT NULL DEFAULT '',
    first_subscribed_at timestamptz,
    unattributed_reason text,                         -- set while the fan has a subscription and no binding
    messages_read_at    timestamptz,                  -- up to when the chat was last read
    first_seen_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, fan_id)
);

-- Fans whose fold is to be run. A wake during a run raises the generation, so it is not lost.
CREATE TABLE fan_queue (
    account_id text NOT NULL,
    fan_id     text NOT NULL,
    due_at     timestamptz NOT NULL DEFAULT now(),
    generation bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (account_id, fan_id)
);
CREATE INDEX fan_queue_due ON fan_queue (due_at);

-- Periodic work per account: reconcile links, poll transactions, keep pools, check the session.
CREATE TABLE account_jobs (
    account_id  text NOT NULL REFERENCES accounts,
    job         text NOT NULL,                        -- 'reconcile' | 'transactions' | 'pools' | 'session' | 'messages'
    due_at      timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz,
    lease_token text,
    generation  bigint NOT NULL DEFAULT 1,            -- raised by a wake, so a wake during a run is not lost
    failures    integer NOT NULL DEFAULT 0,
    blocked_until timestamptz,                        -- backing off: an ordinary wake does not run it sooner
    last_error  text,
    state       jsonb NOT NULL DEFAULT '{}',
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, job)
);
CREATE INDEX account_jobs_due ON account_jobs (due_at);

-- Credits --------------------------------------------------------------------------------------------------

-- From valid_from on, this account's fan belongs to that click. A row no longer believed keeps its history in retracted_at.
CREATE TABLE bindings (
    binding_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id       text NOT NULL,
    fan_id           text NOT NULL,
    valid_from       timestamptz NOT NULL,
    click_id         text COLLATE "C" NOT NULL,
    smart_link_id    text COLLATE "C" NOT NULL,
    rule             text NOT NULL,                   -- 'subscribed' (spec 4) | 'resubscribed' (4a) | 'clicked_again' (4b)
    lease            text NOT NULL,
    confidence       double precision NOT NULL CHECK (confidence >= 0 AND confidence <= 1),
    competing_clicks integer NOT NULL,
    event_keys       text[] NOT NULL,
    believed_at      timestamptz NOT NULL DEFAULT now(),
    retracted_at     timestamptz,
    FOREIGN KEY (account_id, fan_id) REFERENCES fans
);
CREATE UNIQUE INDEX bindings_believed ON bindings (account_id, fan_id, valid_from) WHERE retracted_at IS NULL;
CREATE INDEX bindings_by_click ON bindings (click_id);

CREATE TABLE conversions (
    conversion_id           text COLLATE "C" PRIMARY KEY,
    team_id                 text NOT NULL,
    account_id              text NOT NULL,
    smart_link_id           text COLLATE "C" NOT NULL,
    click_id                text COLLATE "C" NOT NULL,
    fan_id                  text NOT NULL,
    conversion_type         text NOT NULL,
    conversion_at           timestamptz NOT NULL,
    amount_gross_cents      bigint,                   -- NULL: not known (yet)
    amount_net_cents        bigint,
    transaction_id          text,
    transaction_type        text,
    transaction_status      text,
    transaction_description text,
    previously_subscribed   boolean NOT NULL DEFAULT false,
    event_keys              text[] NOT NULL,
    created_at              timestamptz NOT NULL DEFAULT now(),
    purchase                text,                     -- 'first' | 'repeat' for purchases, for ad platforms
    corrected_at            timestamptz,              -- the belief behind it changed after it was written
    retracted_at            timestamptz,              -- no longer believed at all; what was delivered stays delivered
    FOREIGN KEY (account_id, fan_id) REFERENCES fans
);
CREATE INDEX conversions_by_link ON conversions (smart_link_id, conversion_at);
CREATE INDEX conversions_by_fan ON conversions (account_id, fan_id);
CREATE INDEX conversions_by_click ON conversions (click_id);

-- What every report counts: each payment credited, less what was taken back of it (a chargeback takes back its own amount).
CREATE VIEW revenue AS
SELECT v.conversion_id, v.team_id, v.account_id, v.smart_link_id, v.click_id, v.fan_id, v.conversion_at, v.transaction_id,
       v.transaction_type, v.amount_gross_cents - coalesce(taken.gross_cents, 0) AS gross_cents,
       v.amount_net_cents - coalesce(taken.net_cents, 0) AS net_cents
FROM conversions v
LEFT JOIN LATERAL (
    SELECT t.amount_gross_cents AS gross_cents, t.amount_net_cents AS net_cents FROM conversions t
    WHERE t.account_id = v.account_id AND t.fan_id = v.fan_id AND t.transaction_id = v.transaction_id
      AND t.conversion_type = 'transaction_status' AND t.transaction_status IN ('pending_return', 'undo')
      AND t.retracted_at IS NULL
    ORDER BY t.transaction_status DESC LIMIT 1  -- 'undo' is the last word
) taken ON true
WHERE v.conversion_type = 'new_transaction' AND v.retracted_at IS NULL;

-- Delivery (package postbacks; it knows events and destinations, not clicks or fans) ------------------------

CREATE TABLE destinations (
    destination_id   text COLLATE "C" PRIMARY KEY,    -- ULID, upper case
    team_id          text NOT NULL,
    kind             text NOT NULL,                   -- a module of postbacks/destinations
    name             text NOT NULL DEFAULT '',
    config           jsonb NOT NULL,                  -- validated by that module
    secrets_sealed   bytea,
    scope            text NOT NULL DEFAULT 'global' CHECK (scope IN ('global', 'campaign_specific')),
    event_types      text[] NOT NULL,
    state            text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'disabled', 'deleted')),
    state_reason     text NOT NULL DEFAULT '',
    failing_since    timestamptz,                     -- first failure since the last success
    breaker_until    timestamptz,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX destinations_by_team ON destinations (team_id);

CREATE TABLE destination_links (
    destination_id text NOT NULL REFERENCES destinations ON DELETE CASCADE,
    smart_link_id  text COLLATE "C" NOT NULL,
    PRIMARY KEY (destination_id, smart_link_id)
);
CREATE INDEX destination_links_by_link ON destination_links (smart_link_id);

-- The facts of one event, frozen when it happened, shared by its deliveries. event_id is the conversion id and never changes.
CREATE TABLE delivery_events (
    event_id    text COLLATE "C" NOT NULL,
    day         date NOT NULL,
    event_type  text NOT NULL,
    occurred_at timestamptz NOT NULL,
    facts       jsonb NOT NULL,                       -- template variable -> text
    PRIMARY KEY (event_id, day)
) PARTITION BY RANGE (day);
CREATE TABLE delivery_events_rest PARTITION OF delivery_events DEFAULT;

CREATE TABLE deliveries (
    event_id       text COLLATE "C" NOT NULL,
    destination_id text COLLATE "C" NOT NULL,
    day            date NOT NULL,                     -- the day it was written; the partition it is dropped with
    state          text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'skipped', 'dead')),
    due_at         timestamptz NOT NULL DEFAULT now(),
    attempts       smallint NOT NULL DEFAULT 0,
    uncharged      smallint NOT NULL DEFAULT 0,       -- attempts the retry schedule does not count: failures of ours, before a replay
    lease_until    timestamptz,
    lease_token    text,
    finished_at    timestamptz,
    verdict        text,                              -- last outcome in words
    ambiguous_at   timestamptz,                       -- first attempt the receiver may have acted on without saying so
    created_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id, destination_id, day)
) PARTITION BY RANGE (day);
CREATE INDEX deliveries_waiting ON deliveries (destination_id, due_at) WHERE state = 'waiting';
CREATE INDEX deliveries_dead ON deliveries (destination_id, created_at) WHERE state = 'dead';
CREATE INDEX deliveries_by_destination ON deliveries (destination_id, created_at);
CREATE TABLE deliveries_rest PARTITION OF deliveries DEFAULT;

-- One try at sending one delivery. request and answer hold no secrets.
CREATE TABLE attempts (
    attempt_id     bigint GENERATED ALWAYS AS IDENTITY,
    day            date NOT NULL,
    event_id       text COLLATE "C" NOT NULL,
    destination_id text COLLATE "C" NOT NULL,
    attempt        smallint NOT NULL,
    started_at     timestamptz NOT NULL,
    duration_ms    integer NOT NULL,
    request        text NOT NULL,
    status_code    smallint,
    answer         text NOT NULL DEFAULT '',
    outcome        text NOT NULL,                     -- 'delivered' | 'skipped' | 'permanent' | 'transient' | 'throttled' | 'auth' | 'ours'
    verdict        text NOT NULL,
    PRIMARY KEY (attempt_id, day)
) PARTITION BY RANGE (day);
CREATE INDEX attempts_by_delivery ON attempts (event_id, destination_id);
CREATE INDEX attempts_by_destination ON attempts (destination_id, started_at) INCLUDE (outcome);
CREATE TABLE attempts_rest PARTITION OF attempts DEFAULT;
