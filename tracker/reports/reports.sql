-- Reading reports. Every query names the team, or takes only what `scopes` gave for it.

-- name: chosen_accounts
-- Those of these accounts that are the team's.
SELECT account_id FROM accounts WHERE team_id = $1 AND account_id = ANY($2);

-- name: chosen_links
-- The team's smart links that meet the filters.
SELECT s.smart_link_id FROM smart_links s JOIN accounts a USING (account_id)
WHERE s.team_id = $1
  AND ($2::text[] IS NULL OR s.smart_link_id = ANY($2)) AND ($3::text[] IS NULL OR s.account_id = ANY($3))
  AND ($4::text[] IS NULL OR EXISTS (SELECT FROM link_tags t WHERE t.team_id = $1 AND t.kind = 'smart_links'
       AND t.target_id = s.smart_link_id AND t.tag = ANY($4)))
  AND ($5::text[] IS NULL OR CASE a.provider WHEN 'fansly' THEN 'fansly' ELSE 'onlyfans' END = ANY($5))
  AND ($6::text IS NULL OR s.name ILIKE $6) AND ($7::text[] IS NULL OR s.state = ANY($7));

-- name: total
-- The totals of a range.
WITH chosen AS (SELECT smart_link_id FROM smart_links WHERE team_id = ANY($1) OR account_id = ANY($1) OR smart_link_id = ANY($1))
SELECT sum(clicks) AS clicks, sum(duplicates) AS duplicates, sum(bots) AS bots, sum(prefetches) AS prefetches,
       sum(subscribers) AS subscribers, sum(conversions) AS conversions, sum(gross_cents) AS gross_cents, sum(net_cents) AS net_cents,
       count(DISTINCT spender) AS spenders
FROM (
    SELECT c.smart_link_id, c.clicked_at AS at, 1 AS clicks, 0 AS duplicates, 0 AS bots, 0 AS prefetches, 0 AS subscribers,
           0 AS conversions, 0::bigint AS gross_cents, 0::bigint AS net_cents, NULL::text AS spender
    FROM chosen JOIN clicks c USING (smart_link_id) WHERE NOT c.is_bot
    UNION ALL
    SELECT c.smart_link_id, c.clicked_at, 0, 0, 1, 0, 0, 0, 0, 0, NULL FROM chosen JOIN clicks c USING (smart_link_id) WHERE c.is_bot
    UNION ALL
    SELECT c.smart_link_id, v.visited_at, 0, 1, 0, 0, 0, 0, 0, 0, NULL
    FROM chosen JOIN clicks c USING (smart_link_id) JOIN visits v USING (click_id)
    UNION ALL
    SELECT n.smart_link_id, n.conversion_at, 0, 0, 0, 0, (n.conversion_type = 'new_subscriber')::int, 1, 0, 0, NULL
    FROM chosen JOIN conversions n USING (smart_link_id) LEFT JOIN clicks c USING (click_id)
    WHERE n.retracted_at IS NULL AND n.conversion_type <> 'transaction_status'
    UNION ALL
    SELECT r.smart_link_id, r.conversion_at, 0, 0, 0, 0, 0, 0, r.gross_cents, r.net_cents,
           CASE WHEN r.gross_cents > 0 THEN r.account_id || ' ' || r.fan_id END
    FROM chosen JOIN revenue r USING (smart_link_id) LEFT JOIN clicks c USING (click_id)
) facts WHERE at >= $2 AND at < $3;

-- name: series
-- The totals from each of the moments $4 to the next.
WITH chosen AS (SELECT smart_link_id FROM smart_links WHERE team_id = ANY($1) OR account_id = ANY($1) OR smart_link_id = ANY($1))
SELECT width_bucket(at, $4::timestamptz[]) AS point, sum(clicks) AS clicks, sum(duplicates) AS duplicates, sum(bots) AS bots, sum(prefetches) AS prefetches,
       sum(subscribers) AS subscribers, sum(conversions) AS conversions, sum(gross_cents) AS gross_cents, sum(net_cents) AS net_cents,
       count(DISTINCT spender) AS spenders
FROM (
    SELECT c.smart_link_id, c.clicked_at AS at, 1 AS clicks, 0 AS duplicates, 0 AS bots, 0 AS prefetches, 0 AS subscribers,
           0 AS conversions, 0::bigint AS gross_cents, 0::bigint AS net_cents, NULL::text AS spender
    FROM chosen JOIN clicks c USING (smart_link_id) WHERE NOT c.is_bot
    UNION ALL
    SELECT c.smart_link_id, c.clicked_at, 0, 0, 1, 0, 0, 0, 0, 0, NULL FROM chosen JOIN clicks c USING (smart_link_id) WHERE c.is_bot
    UNION ALL
    SELECT c.smart_link_id, v.visited_at, 0, 1, 0, 0, 0, 0, 0, 0, NULL
    FROM chosen JOIN clicks c USING (smart_link_id) JOIN visits v USING (click_id)
    UNION ALL
    SELECT n.smart_link_id, n.conversion_at, 0, 0, 0, 0, (n.conversion_type = 'new_subscriber')::int, 1, 0, 0, NULL
    FROM chosen JOIN conversions n USING (smart_link_id) LEFT JOIN clicks c USING (click_id)
    WHERE n.retracted_at IS NULL AND n.conversion_type <> 'transaction_status'
    UNION ALL
    SELECT r.smart_link_id, r.conversion_at, 0, 0, 0, 0, 0, 0, r.gross_cents, r.net_cents,
           CASE WHEN r.gross_cents > 0 THEN r.account_id || ' ' || r.fan_id END
    FROM chosen JOIN revenue r USING (smart_link_id) LEFT JOIN clicks c USING (click_id)
) facts WHERE at >= $2 AND at < $3 GROUP BY 1;

-- name: breakdown
-- The totals per value of one dimension.
WITH chosen AS (SELECT smart_link_id FROM smart_links WHERE team_id = ANY($1) OR account_id = ANY($1) OR smart_link_id = ANY($1)), found AS (
SELECT coalesce(value, '') AS value, sum(clicks) AS clicks, sum(duplicates) AS duplicates, sum(bots) AS bots, sum(prefetches) AS prefetches,
       sum(subscribers) AS subscribers, sum(conversions) AS conversions, sum(gross_cents) AS gross_cents, sum(net_cents) AS net_cents,
       count(DISTINCT spender) AS spenders
FROM (
    SELECT c.smart_link_id, CASE $4 WHEN 'country' THEN c.country WHEN 'device' THEN c.device_type WHEN 'browser' THEN c.browser WHEN 'os' THEN c.os WHEN 'referrer' THEN lower(substring(c.referrer from '^[a-zA-Z][a-zA-Z0-9+.-]*://(?:[^/?#@]*@)?([^/?#:@]+)')) WHEN 'utm_source' THEN c.utm_source WHEN 'utm_medium' THEN c.utm_medium WHEN 'utm_campaign' THEN c.utm_campaign WHEN 'utm_term' THEN c.utm_term WHEN 'utm_content' THEN c.utm_content WHEN 'aff_s1' THEN c.aff_s1 WHEN 'aff_s2' THEN c.aff_s2 WHEN 'aff_s3' THEN c.aff_s3 WHEN 'aff_s4' THEN c.aff_s4 WHEN 'aff_s5' THEN c.aff_s5 WHEN 'ecid' THEN c.ecid WHEN 'lease' THEN c.lease END AS value, c.clicked_at AS at, 1 AS clicks, 0 AS duplicates, 0 AS bots, 0 AS prefetches, 0 AS subscribers,
           0 AS conversions, 0::bigint AS gross_cents, 0::bigint AS net_cents, NULL::text AS spender
    FROM chosen JOIN clicks c USING (smart_link_id) WHERE NOT c.is_bot
    UNION ALL
    SELECT c.smart_link_id, CASE $4 WHEN 'country' THEN c.country WHEN 'device' THEN c.device_type WHEN 'browser' THEN c.browser WHEN 'os' THEN c.os WHEN 'referrer' THEN lower(substring(c.referrer from '^[a-zA-Z][a-zA-Z0-9+.-]*://(?:[^/?#@]*@)?([^/?#:@]+)')) WHEN 'utm_source' THEN c.utm_source WHEN 'utm_medium' THEN c.utm_medium WHEN 'utm_campaign' THEN c.utm_campaign WHEN 'utm_term' THEN c.utm_term WHEN 'utm_content' THEN c.utm_content WHEN 'aff_s1' THEN c.aff_s1 WHEN 'aff_s2' THEN c.aff_s2 WHEN 'aff_s3' THEN c.aff_s3 WHEN 'aff_s4' THEN c.aff_s4 WHEN 'aff_s5' THEN c.aff_s5 WHEN 'ecid' THEN c.ecid WHEN 'lease' THEN c.lease END AS value, c.clicked_at, 0, 0, 1, 0, 0, 0, 0, 0, NULL FROM chosen JOIN clicks c USING (smart_link_id) WHERE c.is_bot
    UNION ALL
    SELECT c.smart_link_id, CASE $4 WHEN 'country' THEN c.country WHEN 'device' THEN c.device_type WHEN 'browser' THEN c.browser WHEN 'os' THEN c.os WHEN 'referrer' THEN lower(substring(c.referrer from '^[a-zA-Z][a-zA-Z0-9+.-]*://(?:[^/?#@]*@)?([^/?#:@]+)')) WHEN 'utm_source' THEN c.utm_source WHEN 'utm_medium' THEN c.utm_medium WHEN 'utm_campaign' THEN c.utm_campaign WHEN 'utm_term' THEN c.utm_term WHEN 'utm_content' THEN c.utm_content WHEN 'aff_s1' THEN c.aff_s1 WHEN 'aff_s2' THEN c.aff_s2 WHEN 'aff_s3' THEN c.aff_s3 WHEN 'aff_s4' THEN c.aff_s4 WHEN 'aff_s5' THEN c.aff_s5 WHEN 'ecid' THEN c.ecid WHEN 'lease' THEN c.lease END AS value, v.visited_at, 0, 1, 0, 0, 0, 0, 0, 0, NULL
    FROM chosen JOIN clicks c USING (smart_link_id) JOIN visits v USING (click_id)
    UNION ALL
    SELECT n.smart_link_id, CASE $4 WHEN 'country' THEN c.country WHEN 'device' THEN c.device_type WHEN 'browser' THEN c.browser WHEN 'os' THEN c.os WHEN 'referrer' THEN lower(substring(c.referrer from '^[a-zA-Z][a-zA-Z0-9+.-]*://(?:[^/?#@]*@)?([^/?#:@]+)')) WHEN 'utm_source' THEN c.utm_source WHEN 'utm_medium' THEN c.utm_medium WHEN 'utm_campaign' THEN c.utm_campaign WHEN 'utm_term' THEN c.utm_term WHEN 'utm_content' THEN c.utm_content WHEN 'aff_s1' THEN c.aff_s1 WHEN 'aff_s2' THEN c.aff_s2 WHEN 'aff_s3' THEN c.aff_s3 WHEN 'aff_s4' THEN c.aff_s4 WHEN 'aff_s5' THEN c.aff_s5 WHEN 'ecid' THEN c.ecid WHEN 'lease' THEN c.lease END AS value, n.conversion_at, 0, 0, 0, 0, (n.conversion_type = 'new_subscriber')::int, 1, 0, 0, NULL
    FROM chosen JOIN conversions n USING (smart_link_id) LEFT JOIN clicks c USING (click_id)
    WHERE n.retracted_at IS NULL AND n.conversion_type <> 'transaction_status'
    UNION ALL
    SELECT r.smart_link_id, CASE $4 WHEN 'country' THEN c.country WHEN 'device' THEN c.device_type WHEN 'browser' THEN c.browser WHEN 'os' THEN c.os WHEN 'referrer' THEN lower(substring(c.referrer from '^[a-zA-Z][a-zA-Z0-9+.-]*://(?:[^/?#@]*@)?([^/?#:@]+)')) WHEN 'utm_source' THEN c.utm_source WHEN 'utm_medium' THEN c.utm_medium WHEN 'utm_campaign' THEN c.utm_campaign WHEN 'utm_term' THEN c.utm_term WHEN 'utm_content' THEN c.utm_content WHEN 'aff_s1' THEN c.aff_s1 WHEN 'aff_s2' THEN c.aff_s2 WHEN 'aff_s3' THEN c.aff_s3 WHEN 'aff_s4' THEN c.aff_s4 WHEN 'aff_s5' THEN c.aff_s5 WHEN 'ecid' THEN c.ecid WHEN 'lease' THEN c.lease END AS value, r.conversion_at, 0, 0, 0, 0, 0, 0, r.gross_cents, r.net_cents,
           CASE WHEN r.gross_cents > 0 THEN r.account_id || ' ' || r.fan_id END
    FROM chosen JOIN revenue r USING (smart_link_id) LEFT JOIN clicks c USING (click_id)
) facts WHERE at >= $2 AND at < $3 GROUP BY 1)
SELECT value, clicks, duplicates, bots, subscribers, conversions, gross_cents, net_cents FROM found ORDER BY
    CASE WHEN $6 THEN CASE $5 WHEN 'clicks' THEN clicks WHEN 'gross_clicks' THEN clicks + duplicates WHEN 'bots' THEN bots WHEN 'duplicates' THEN duplicates WHEN 'subscribers' THEN subscribers WHEN 'conversions' THEN conversions WHEN 'gross_cents' THEN gross_cents WHEN 'net_cents' THEN net_cents WHEN 'cr' THEN subscribers::float8 / nullif(clicks, 0) WHEN 'arps_gross' THEN gross_cents::float8 / nullif(subscribers, 0) WHEN 'arps_net' THEN net_cents::float8 / nullif(subscribers, 0) END END DESC NULLS LAST,
    CASE WHEN NOT $6 THEN CASE $5 WHEN 'clicks' THEN clicks WHEN 'gross_clicks' THEN clicks + duplicates WHEN 'bots' THEN bots WHEN 'duplicates' THEN duplicates WHEN 'subscribers' THEN subscribers WHEN 'conversions' THEN conversions WHEN 'gross_cents' THEN gross_cents WHEN 'net_cents' THEN net_cents WHEN 'cr' THEN subscribers::float8 / nullif(clicks, 0) WHEN 'arps_gross' THEN gross_cents::float8 / nullif(subscribers, 0) WHEN 'arps_net' THEN net_cents::float8 / nullif(subscribers, 0) END END ASC NULLS LAST,
    CASE WHEN $6 AND $5 = 'value' THEN value END DESC,
    CASE WHEN NOT $6 AND $5 = 'value' THEN value END,
    value
LIMIT $7 OFFSET $8;

-- name: by_link
-- The chosen smart links with their totals.
WITH chosen AS (
    SELECT s.smart_link_id, s.name, s.account_id, s.state, s.created_at FROM smart_links s JOIN accounts a USING (account_id)
    WHERE s.team_id = $1
      AND ($2::text[] IS NULL OR s.smart_link_id = ANY($2)) AND ($3::text[] IS NULL OR s.account_id = ANY($3))
      AND ($4::text[] IS NULL OR EXISTS (SELECT FROM link_tags t WHERE t.team_id = $1 AND t.kind = 'smart_links'
           AND t.target_id = s.smart_link_id AND t.tag = ANY($4)))
      AND ($5::text[] IS NULL OR CASE a.provider WHEN 'fansly' THEN 'fansly' ELSE 'onlyfans' END = ANY($5))
      AND ($6::text IS NULL OR s.name ILIKE $6) AND ($7::text[] IS NULL OR s.state = ANY($7))
), found AS (
SELECT smart_link_id, sum(clicks) AS clicks, sum(duplicates) AS duplicates, sum(bots) AS bots, sum(prefetches) AS prefetches,
       sum(subscribers) AS subscribers, sum(conversions) AS conversions, sum(gross_cents) AS gross_cents, sum(net_cents) AS net_cents,
       count(DISTINCT spender) AS spenders
FROM (
    SELECT c.smart_link_id, c.clicked_at AS at, 1 AS clicks, 0 AS duplicates, 0 AS bots, 0 AS prefetches, 0 AS subscribers,
           0 AS conversions, 0::bigint AS gross_cents, 0::bigint AS net_cents, NULL::text AS spender
    FROM chosen JOIN clicks c USING (smart_link_id) WHERE NOT c.is_bot
    UNION ALL
    SELECT c.smart_link_id, c.clicked_at, 0, 0, 1, 0, 0, 0, 0, 0, NULL FROM chosen JOIN clicks c USING (smart_link_id) WHERE c.is_bot
    UNION ALL
    SELECT c.smart_link_id, v.visited_at, 0, 1, 0, 0, 0, 0, 0, 0, NULL
    FROM chosen JOIN clicks c USING (smart_link_id) JOIN visits v USING (click_id)
    UNION ALL
    SELECT n.smart_link_id, n.conversion_at, 0, 0, 0, 0, (n.conversion_type = 'new_subscriber')::int, 1, 0, 0, NULL
    FROM chosen JOIN conversions n USING (smart_link_id) LEFT JOIN clicks c USING (click_id)
    WHERE n.retracted_at IS NULL AND n.conversion_type <> 'transaction_status'
    UNION ALL
    SELECT r.smart_link_id, r.conversion_at, 0, 0, 0, 0, 0, 0, r.gross_cents, r.net_cents,
           CASE WHEN r.gross_cents > 0 THEN r.account_id || ' ' || r.fan_id END
    FROM chosen JOIN revenue r USING (smart_link_id) LEFT JOIN clicks c USING (click_id)
) facts WHERE at >= $8 AND at < $9 GROUP BY 1
), listed AS (
    SELECT smart_link_id, name, account_id, state, created_at, coalesce(clicks, 0) AS clicks, coalesce(duplicates, 0) AS duplicates,
           coalesce(bots, 0) AS bots, coalesce(prefetches, 0) AS prefetches, coalesce(subscribers, 0) AS subscribers,
           coalesce(conversions, 0) AS conversions, coalesce(gross_cents, 0) AS gross_cents, coalesce(net_cents, 0) AS net_cents,
           coalesce(spenders, 0) AS spenders
    FROM chosen LEFT JOIN found USING (smart_link_id) WHERE state <> 'deleted' OR found.smart_link_id IS NOT NULL
)
SELECT * FROM listed ORDER BY
    CASE WHEN $11 THEN CASE $10 WHEN 'clicks' THEN clicks WHEN 'gross_clicks' THEN clicks + duplicates WHEN 'bots' THEN bots WHEN 'duplicates' THEN duplicates WHEN 'subscribers' THEN subscribers WHEN 'conversions' THEN conversions WHEN 'gross_cents' THEN gross_cents WHEN 'net_cents' THEN net_cents WHEN 'cr' THEN subscribers::float8 / nullif(clicks, 0) WHEN 'arps_gross' THEN gross_cents::float8 / nullif(subscribers, 0) WHEN 'arps_net' THEN net_cents::float8 / nullif(subscribers, 0) WHEN 'prefetches' THEN prefetches WHEN 'spenders' THEN spenders END END DESC NULLS LAST,
    CASE WHEN NOT $11 THEN CASE $10 WHEN 'clicks' THEN clicks WHEN 'gross_clicks' THEN clicks + duplicates WHEN 'bots' THEN bots WHEN 'duplicates' THEN duplicates WHEN 'subscribers' THEN subscribers WHEN 'conversions' THEN conversions WHEN 'gross_cents' THEN gross_cents WHEN 'net_cents' THEN net_cents WHEN 'cr' THEN subscribers::float8 / nullif(clicks, 0) WHEN 'arps_gross' THEN gross_cents::float8 / nullif(subscribers, 0) WHEN 'arps_net' THEN net_cents::float8 / nullif(subscribers, 0) WHEN 'prefetches' THEN prefetches WHEN 'spenders' THEN spenders END END ASC NULLS LAST,
    CASE WHEN $11 AND $10 = 'name' THEN name END DESC,
    CASE WHEN NOT $11 AND $10 = 'name' THEN name END,
    CASE WHEN $11 AND $10 = 'created_at' THEN created_at END DESC,
    CASE WHEN NOT $11 AND $10 = 'created_at' THEN created_at END,
    smart_link_id DESC
LIMIT $12 OFFSET $13;

-- name: cohorts
-- Per acquisition period and window: its fans, those whose window is over, and what these brought in it.
WITH fans AS (
    SELECT n.smart_link_id, n.account_id, n.fan_id, min(n.conversion_at) AS acquired_at
    FROM conversions n JOIN smart_links s USING (smart_link_id)
    WHERE s.team_id = $1 AND ($2::text[] IS NULL OR s.smart_link_id = ANY($2))
      AND n.conversion_type = 'new_subscriber' AND n.retracted_at IS NULL
    GROUP BY 1, 2, 3 HAVING min(n.conversion_at) >= $3 AND min(n.conversion_at) < $4
), paid AS (
    SELECT f.smart_link_id, f.fan_id, r.conversion_at - f.acquired_at AS after, r.gross_cents, r.net_cents
    FROM fans f JOIN revenue r ON r.account_id = f.account_id AND r.fan_id = f.fan_id AND r.smart_link_id = f.smart_link_id
     AND r.conversion_at >= f.acquired_at - interval '10 minutes'
), windows AS (
    SELECT width_bucket(f.acquired_at, $5::timestamptz[]) AS point, w.days, f.acquired_at + make_interval(days => w.days + 1) <= $7 AS over,
           coalesce(p.gross_cents, 0) AS gross_cents, coalesce(p.net_cents, 0) AS net_cents
    FROM fans f CROSS JOIN unnest($6::int[]) AS w (days)
    LEFT JOIN LATERAL (SELECT sum(gross_cents) AS gross_cents, sum(net_cents) AS net_cents FROM paid p
        WHERE p.smart_link_id = f.smart_link_id AND p.fan_id = f.fan_id AND p.after < make_interval(days => w.days + 1)) p ON true
)
SELECT point, days, count(*)::int AS subscribers, (count(*) FILTER (WHERE over))::int AS matured,
       coalesce(sum(gross_cents) FILTER (WHERE over), 0)::bigint AS gross_cents, coalesce(sum(net_cents) FILTER (WHERE over), 0)::bigint AS net_cents
FROM windows GROUP BY 1, 2;
