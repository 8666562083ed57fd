-- Fans and spenders of a smart link, kept by the rollup job (docs/decisions/0009-reports.md): a page of them is read by index.

-- What fans brought the links they are credited to, from the conversions themselves.
CREATE VIEW credited_fans AS
SELECT c.smart_link_id, c.account_id, c.fan_id, min(c.conversion_at) AS converted_at,
       count(*) FILTER (WHERE c.conversion_type = 'message_received')::integer AS messages,
       count(*) FILTER (WHERE c.conversion_type = 'new_subscriber')::integer AS subscriptions,
       coalesce(bool_or(c.previously_subscribed) FILTER (WHERE c.conversion_type = 'new_subscriber'), false) AS previously_subscribed,
       count(p.conversion_id)::integer AS payments, max(p.conversion_at) AS last_payment_at,
       coalesce(sum(p.gross_cents), 0)::bigint AS gross_cents, coalesce(sum(p.net_cents), 0)::bigint AS net_cents,
       coalesce(sum(p.net_cents) FILTER (WHERE p.transaction_type = 'tip'), 0)::bigint AS tips_cents
FROM conversions c LEFT JOIN revenue p ON p.conversion_id = c.conversion_id
WHERE c.retracted_at IS NULL AND c.conversion_type <> 'transaction_status' GROUP BY 1, 2, 3;

-- The same, told: as of the last run of the job, but for fans who are marked.
CREATE TABLE link_fans (
    smart_link_id         text COLLATE "C" NOT NULL,
    account_id            text NOT NULL,
    fan_id                text NOT NULL,
    converted_at          timestamptz NOT NULL,
    messages              integer NOT NULL,
    subscriptions         integer NOT NULL,
    previously_subscribed boolean NOT NULL,
    payments              integer NOT NULL,
    last_payment_at       timestamptz,
    gross_cents           bigint NOT NULL,
    net_cents             bigint NOT NULL,
    tips_cents            bigint NOT NULL
);
INSERT INTO link_fans SELECT * FROM credited_fans ORDER BY smart_link_id, converted_at;
CREATE INDEX link_fans_by_fan ON link_fans (account_id, fan_id);
CREATE INDEX link_fans_by_time ON link_fans (smart_link_id, converted_at, account_id, fan_id);
CREATE INDEX link_fans_by_gross ON link_fans (smart_link_id, gross_cents, account_id, fan_id);
CREATE INDEX link_fans_by_net ON link_fans (smart_link_id, net_cents, account_id, fan_id);
CREATE INDEX link_fans_by_tips ON link_fans (smart_link_id, tips_cents, account_id, fan_id);
CREATE INDEX link_fans_by_messages ON link_fans (smart_link_id, messages, account_id, fan_id);

-- The same added up per link and day (UTC) on which fans were won.
CREATE TABLE link_fan_days (
    smart_link_id   text COLLATE "C" NOT NULL,
    day             timestamptz NOT NULL,
    fans            integer NOT NULL,
    fans_1_message  integer NOT NULL,
    fans_3_messages integer NOT NULL,
    gross_cents     bigint NOT NULL,
    net_cents       bigint NOT NULL,
    tips_cents      bigint NOT NULL,
    PRIMARY KEY (smart_link_id, day)
) WITH (fillfactor = 85);
INSERT INTO link_fan_days
SELECT smart_link_id, date_trunc('day', converted_at, 'UTC'), count(*), count(*) FILTER (WHERE messages >= 1),
       count(*) FILTER (WHERE messages >= 3), sum(gross_cents), sum(net_cents), sum(tips_cents)
FROM link_fans GROUP BY 1, 2;

-- Every conversion marks its fan now: messages are told of fans too.
CREATE OR REPLACE FUNCTION mark_sales() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO report_marks (kind, smart_link_id, hour)
        SELECT DISTINCT 'sales', n.smart_link_id, date_trunc('hour', n.conversion_at, 'UTC') FROM (
            SELECT smart_link_id, conversion_at FROM new_rows WHERE conversion_type <> 'transaction_status'
            UNION ALL
            SELECT v.smart_link_id, v.conversion_at FROM new_rows t JOIN conversions v ON v.account_id = t.account_id
               AND v.fan_id = t.fan_id AND v.transaction_id = t.transaction_id AND v.conversion_type = 'new_transaction'
            WHERE t.conversion_type = 'transaction_status') n;
        INSERT INTO report_fan_marks (account_id, fan_id) SELECT DISTINCT account_id, fan_id FROM new_rows;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO report_marks (kind, smart_link_id, hour)
        SELECT DISTINCT 'sales', n.smart_link_id, date_trunc('hour', n.conversion_at, 'UTC') FROM (
            SELECT smart_link_id, conversion_at FROM old_rows WHERE conversion_type <> 'transaction_status'
            UNION ALL
            SELECT v.smart_link_id, v.conversion_at FROM old_rows t JOIN conversions v ON v.account_id = t.account_id
               AND v.fan_id = t.fan_id AND v.transaction_id = t.transaction_id AND v.conversion_type = 'new_transaction'
            WHERE t.conversion_type = 'transaction_status') n;
        INSERT INTO report_fan_marks (account_id, fan_id) SELECT DISTINCT account_id, fan_id FROM old_rows;
    END IF;
    RETURN NULL;
END $$;

-- Lists tell marked fans and hours as they are now: they look up what is marked.
CREATE INDEX report_fan_marks_by_account ON report_fan_marks (account_id, fan_id);
CREATE INDEX report_marks_by_link ON report_marks (smart_link_id, hour) WHERE kind = 'sales';
