-- Clicks and their repeated visits, by id: a ULID begins with its time. Links are chosen by the caller, of one team.

-- name: traffic
-- Clicks and bots of these links in [$2, $3), by whole days.
SELECT coalesce(sum(clicks + bots), 0)::bigint FROM report_days
WHERE scope_id = ANY($1::text[]) AND start >= date_trunc('day', $2::timestamptz, 'UTC') AND start < $3;

-- name: days
-- The days from $2 to $3 on which these links had any, latest first.
SELECT start FROM report_days WHERE scope_id = ANY($1::text[]) AND start >= date_trunc('day', $2::timestamptz, 'UTC') AND start < $3
GROUP BY 1 HAVING sum(clicks + duplicates + bots) > 0 ORDER BY 1 DESC;

-- name: own
-- A list begins with ids from the index, as many per link as the page takes. $2 and $3 bound the ids: [$2, $3).
WITH own AS (
    SELECT x.click_id AS id, x.click_id, false AS is_duplicate, x.clicked_at AS visited_at, x.visitor_by AS visit_by
     FROM unnest($1::text[]) AS l (smart_link_id) CROSS JOIN LATERAL (
        SELECT c.click_id, c.clicked_at, c.visitor_by FROM clicks c
        WHERE c.smart_link_id = l.smart_link_id AND c.click_id >= $2 AND c.click_id < $3 AND ($4 OR NOT c.is_bot)
          AND ($6::text IS NULL OR c.click_id = lower($6) OR c.ecid = $6 OR c.fbclid = $6 OR host(c.ip) = $6)
          AND ($7::text IS NULL OR c.country = $7) AND ($8::text IS NULL OR c.device_type = $8) AND ($9::text IS NULL OR c.lease = $9)
        ORDER BY c.click_id DESC LIMIT $10::bigint + $11::bigint
     ) x ORDER BY 1 DESC LIMIT $10::bigint + $11::bigint
)

-- name: repeats
-- Repeated visits, each a row of its own, among all of the links' accounts.
, repeats AS (
    SELECT y.visit_id, y.click_id, true, y.visited_at, y.visitor_by
     FROM (SELECT DISTINCT account_id FROM smart_links WHERE $5 AND smart_link_id = ANY($1::text[])) a CROSS JOIN LATERAL (
        SELECT v.visit_id, v.click_id, v.visited_at, v.visitor_by FROM visits v
        CROSS JOIN LATERAL (SELECT * FROM clicks k WHERE k.click_id = v.click_id OFFSET 0) c  -- one look per visit, never all clicks
        WHERE v.account_id = a.account_id AND v.visit_id >= $2 AND v.visit_id < $3 AND c.smart_link_id = ANY($1::text[]) AND ($4 OR NOT c.is_bot)
          AND ($6::text IS NULL OR c.click_id = lower($6) OR c.ecid = $6 OR c.fbclid = $6 OR host(c.ip) = $6)
          AND ($7::text IS NULL OR c.country = $7) AND ($8::text IS NULL OR c.device_type = $8) AND ($9::text IS NULL OR c.lease = $9)
        ORDER BY v.visit_id DESC LIMIT $10::bigint + $11::bigint
     ) y ORDER BY 1 DESC LIMIT $10::bigint + $11::bigint
)

-- name: repeats_of_few
-- The same of links with few clicks: found by the clicks, not among all of the account.
, repeats AS (
    SELECT v.visit_id, v.click_id, true, v.visited_at, v.visitor_by
     FROM clicks c CROSS JOIN LATERAL (
        SELECT * FROM visits v WHERE v.click_id = c.click_id AND v.visit_id >= $2 AND v.visit_id < $3 OFFSET 0) v
     WHERE $5 AND c.smart_link_id = ANY($1::text[]) AND c.click_id < $3 AND c.gross_clicks > 1 AND ($4 OR NOT c.is_bot)
          AND ($6::text IS NULL OR c.click_id = lower($6) OR c.ecid = $6 OR c.fbclid = $6 OR host(c.ip) = $6)
          AND ($7::text IS NULL OR c.country = $7) AND ($8::text IS NULL OR c.device_type = $8) AND ($9::text IS NULL OR c.lease = $9)
     ORDER BY 1 DESC LIMIT $10::bigint + $11::bigint
)

-- name: newest
-- Both, newest first, as many as the page takes.
, f AS (
    SELECT * FROM own UNION ALL SELECT * FROM repeats ORDER BY 1 DESC LIMIT $10::bigint OFFSET $11::bigint
)

-- name: rows
-- The rows of the ids in f: a repeated visit has the facts of the click it belongs to.
SELECT f.id, f.is_duplicate, f.visited_at, f.visit_by, c.click_id, c.smart_link_id, c.account_id, c.clicked_at, c.last_visit_at, c.gross_clicks,
       c.visitor, c.visitor_by, c.inventory_link_id, c.lease, c.is_bot, c.bot_reason, host(c.ip) AS ip, c.country, c.user_agent, c.browser,
       c.browser_version, c.os, c.device_type, c.referrer, c.ecid, c.fbclid, c.ttclid, c.sccid, c.gclid, c.gbraid, c.wbraid,
       c.utm_source, c.utm_medium, c.utm_campaign, c.utm_term, c.utm_content, c.aff_s1, c.aff_s2, c.aff_s3, c.aff_s4, c.aff_s5
FROM f JOIN clicks c USING (click_id)

-- name: named
-- The ids of one click or repeated visit, $6, and of the repeated visits of that click.
WITH f AS (
    SELECT c.click_id AS id, c.click_id, false AS is_duplicate, c.clicked_at AS visited_at, c.visitor_by AS visit_by
    FROM clicks c WHERE c.click_id = $6
    UNION ALL
    SELECT v.visit_id, v.click_id, true, v.visited_at, v.visitor_by FROM visits v WHERE $5 AND v.click_id = $6
    UNION ALL
    SELECT v.visit_id, v.click_id, true, v.visited_at, v.visitor_by FROM visits v WHERE $5 AND v.visit_id = $6
)

-- name: of_named
-- Of these, what the list may show.
WHERE c.smart_link_id = ANY($1::text[]) AND f.id >= $2 AND f.id < $3 AND ($4 OR NOT c.is_bot)
  AND ($7::text IS NULL OR c.country = $7) AND ($8::text IS NULL OR c.device_type = $8) AND ($9::text IS NULL OR c.lease = $9)
ORDER BY f.id DESC LIMIT $10::bigint OFFSET $11::bigint;
