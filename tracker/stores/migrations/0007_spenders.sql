-- Different fans of any range as sums, and series of any zone from one row per day (docs/decisions/0009-reports.md).
-- Filled here from the rollups there are, so that nothing has to be counted anew.

-- The day (UTC) since 1970 of a moment; -1 before all time.
CREATE FUNCTION day_number(at timestamptz) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN at = '-infinity' THEN -1 ELSE floor(extract(epoch FROM at) / 86400)::integer END;

-- Each row of a fan now says when the same fan had paid before, on the same link: the fans of a range are its rows whose fan had not
-- paid within it. shared: the fan pays through other links too, and would be counted for each of them.
ALTER TABLE report_spenders RENAME TO old_spenders;
CREATE TABLE report_spenders (
    smart_link_id text COLLATE "C" NOT NULL,
    start         timestamptz NOT NULL,
    fan           bigint NOT NULL,
    before        timestamptz NOT NULL DEFAULT '-infinity',
    shared        boolean NOT NULL DEFAULT false
);
INSERT INTO report_spenders (smart_link_id, start, fan, before)
SELECT smart_link_id, start, fan, coalesce(lag(start) OVER (PARTITION BY fan, smart_link_id ORDER BY start), '-infinity')
FROM old_spenders ORDER BY smart_link_id, start, fan;
DROP TABLE old_spenders;
ALTER TABLE report_spenders ADD PRIMARY KEY (smart_link_id, start, fan);
CREATE INDEX report_spenders_by_fan ON report_spenders (fan);
CREATE INDEX report_spenders_before ON report_spenders (smart_link_id, before, start);
UPDATE report_spenders SET shared = true
WHERE fan IN (SELECT fan FROM report_spenders GROUP BY fan HAVING count(DISTINCT smart_link_id) > 1);
CREATE INDEX report_spenders_shared ON report_spenders (smart_link_id, start, fan) WHERE shared;

-- Per scope and day, and block of 8 and of 64 days (counted from 1970-01-01): how many fans paid for the first time in it, by the day
-- on which they had paid before (parallel arrays). Added up over the links of a scope.
CREATE TABLE spender_days (
    scope_id text COLLATE "C" NOT NULL,
    days     smallint NOT NULL,
    start    timestamptz NOT NULL,
    before   integer[] NOT NULL,
    fans     integer[] NOT NULL,
    PRIMARY KEY (scope_id, days, start)
) WITH (fillfactor = 85);
INSERT INTO spender_days (scope_id, days, start, before, fans)
SELECT scope_id, days, start, array_agg(before ORDER BY before), array_agg(fans ORDER BY before) FROM (
    SELECT x.scope_id, l.days, date_bin(make_interval(days => l.days), p.start, 'epoch') AS start, day_number(p.before) AS before,
           count(*)::integer AS fans
    FROM report_spenders p JOIN smart_links s USING (smart_link_id) CROSS JOIN (VALUES (1), (8), (64)) l (days)
    CROSS JOIN LATERAL (VALUES (s.smart_link_id), (s.account_id), (s.team_id)) x (scope_id)
    WHERE p.before < date_bin(make_interval(days => l.days), p.start, 'epoch')
    GROUP BY 1, 2, 3, 4
) told GROUP BY 1, 2, 3;

-- Per scope and day (UTC): the different fans of the 24 hours that begin with each of its 96 quarters.
CREATE TABLE spender_courses (
    scope_id text COLLATE "C" NOT NULL,
    day      timestamptz NOT NULL,
    fans     integer[] NOT NULL,
    PRIMARY KEY (scope_id, day)
) WITH (fillfactor = 85);
INSERT INTO spender_courses (scope_id, day, fans)
SELECT scope_id, day, array_agg(fans ORDER BY quarter) FROM (
    SELECT scope_id, day, quarter, (sum(sum(change)) OVER (PARTITION BY scope_id, day ORDER BY quarter))::integer AS fans FROM (
        -- A fan counts in the 24 hours from each quarter after the payment before, and from no more than a day before this one.
        SELECT x.scope_id, d.day, c.quarter, c.change
        FROM (SELECT *, greatest(before + interval '15 minutes', start - interval '1425 minutes') AS since FROM report_spenders) p
        JOIN smart_links s USING (smart_link_id)
        CROSS JOIN LATERAL (VALUES (s.smart_link_id), (s.account_id), (s.team_id)) x (scope_id)
        CROSS JOIN LATERAL (SELECT DISTINCT date_trunc('day', m, 'UTC') AS day FROM (VALUES (p.since), (p.start)) e (m)) d
        CROSS JOIN LATERAL (VALUES (greatest(p.since, d.day), 1), (p.start + interval '15 minutes', -1)) m (at, change)
        CROSS JOIN LATERAL (SELECT (extract(epoch FROM m.at - d.day) / 900)::integer AS quarter, m.change) c WHERE c.quarter < 96
        UNION ALL
        SELECT d.scope_id, d.day, k, 0 FROM (
            SELECT DISTINCT x.scope_id, date_trunc('day', m, 'UTC') AS day
            FROM report_spenders p JOIN smart_links s USING (smart_link_id)
            CROSS JOIN LATERAL (VALUES (s.smart_link_id), (s.account_id), (s.team_id)) x (scope_id)
            CROSS JOIN LATERAL (VALUES (greatest(p.before + interval '15 minutes', p.start - interval '1425 minutes')), (p.start)) e (m)
        ) d CROSS JOIN generate_series(0, 95) k
    ) changes GROUP BY scope_id, day, quarter
) told GROUP BY 1, 2;

-- The counters of report_quarters added up from midnight (UTC) on: element n is what came before the n-th quarter of the day ended.
-- A day of another zone takes one look at a row instead of one at each of up to 48 quarters. Told once the day is over, and kept true
-- from then on: report_closed says up to when, as of one day.
CREATE TABLE report_courses (
    scope_id    text COLLATE "C" NOT NULL,
    day         timestamptz NOT NULL,
    clicks      integer[] STORAGE PLAIN NOT NULL,
    duplicates  integer[] STORAGE PLAIN NOT NULL,
    bots        integer[] STORAGE PLAIN NOT NULL,
    prefetches  integer[] STORAGE PLAIN NOT NULL,
    subscribers integer[] STORAGE PLAIN NOT NULL,
    conversions integer[] STORAGE PLAIN NOT NULL,
    gross_cents bigint[] STORAGE PLAIN NOT NULL,
    net_cents   bigint[] STORAGE PLAIN NOT NULL,
    PRIMARY KEY (scope_id, day)
) WITH (toast_tuple_target = 8160);                   -- in the row itself: it is read by the hundred
INSERT INTO report_courses
SELECT scope_id, day, array_agg(clicks ORDER BY quarter), array_agg(duplicates ORDER BY quarter), array_agg(bots ORDER BY quarter),
       array_agg(prefetches ORDER BY quarter), array_agg(subscribers ORDER BY quarter), array_agg(conversions ORDER BY quarter),
       array_agg(gross_cents ORDER BY quarter), array_agg(net_cents ORDER BY quarter)
FROM (
    SELECT d.scope_id, d.start AS day, quarter, coalesce(sum(q.clicks) OVER so_far, 0) AS clicks,
           coalesce(sum(q.duplicates) OVER so_far, 0) AS duplicates, coalesce(sum(q.bots) OVER so_far, 0) AS bots,
           coalesce(sum(q.prefetches) OVER so_far, 0) AS prefetches, coalesce(sum(q.subscribers) OVER so_far, 0) AS subscribers,
           coalesce(sum(q.conversions) OVER so_far, 0) AS conversions, coalesce(sum(q.gross_cents) OVER so_far, 0) AS gross_cents,
           coalesce(sum(q.net_cents) OVER so_far, 0) AS net_cents
    FROM (SELECT scope_id, start FROM report_days WHERE start < date_trunc('day', now(), 'UTC')) d CROSS JOIN generate_series(0, 95) quarter
    LEFT JOIN report_quarters q ON q.scope_id = d.scope_id AND q.start = d.start + quarter * interval '15 minutes'
    WINDOW so_far AS (PARTITION BY d.scope_id, d.start ORDER BY quarter ROWS UNBOUNDED PRECEDING)
) told GROUP BY 1, 2;
INSERT INTO report_closed (days, until) SELECT 1, CASE WHEN EXISTS (SELECT FROM report_days) THEN date_trunc('day', now(), 'UTC') END;

-- A common value is listed by every link: whether it is by this one is one look-up.
DROP INDEX IF EXISTS report_listed_by_value;
CREATE INDEX report_listed_by_value ON report_listed (value_id, smart_link_id, dimension);
