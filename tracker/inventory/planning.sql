-- What a pool's clicks ask of it. Clicks are found by smart link and click id, whose first characters are its time.

-- name: pools
-- Pools with a smart link: links ready to be leased, and the longest window. By team or by account; NULL means all.
SELECT a.account_id, a.username, a.shard, s.offer, max(s.window_seconds) AS window_seconds,
       bool_or(s.state = 'active') AS active,
       (SELECT count(*) FROM inventory_links i WHERE i.account_id = a.account_id AND i.offer = s.offer
          AND i.state = 'ready' AND i.role = 'pool') AS size
FROM accounts a JOIN smart_links s USING (account_id)
WHERE s.state <> 'deleted' AND ($1::text IS NULL OR a.team_id = $1) AND ($2::text IS NULL OR a.account_id = $2)
GROUP BY a.account_id, s.offer ORDER BY a.account_id, s.offer;

-- name: hours
-- New clicks of each pool per hour since $2, from the exact rollup; deleted smart links too, their leases still run.
SELECT s.account_id, s.offer, h.hour, sum(h.clicks)::bigint AS clicks
FROM smart_links s JOIN click_hours h USING (smart_link_id)
WHERE s.account_id = ANY($1::text[]) AND h.hour >= $2 GROUP BY s.account_id, s.offer, h.hour;

-- name: leases
-- Leases of each smart link by kind: since click id $2 (the last hour), and since the full hour $4, whose first click id is $3.
-- All clicks of the day are counted by the exact rollup; the few that are not exclusive have an index of their own.
SELECT s.account_id, s.offer, s.smart_link_id, s.name, h.hour_exclusive, h.hour_shared, h.hour_reserve,
       greatest(t.clicks - d.others, 0) AS day_exclusive, d.day_shared, d.day_reserve
FROM smart_links s
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE c.lease = 'exclusive') AS hour_exclusive,
           count(*) FILTER (WHERE c.lease = 'shared') AS hour_shared,
           count(*) FILTER (WHERE c.lease = 'reserve') AS hour_reserve
    FROM clicks c WHERE c.smart_link_id = s.smart_link_id AND c.click_id >= $2 AND NOT c.is_bot) h
CROSS JOIN LATERAL (
    SELECT count(*) AS others, count(*) FILTER (WHERE c.lease = 'shared') AS day_shared,
           count(*) FILTER (WHERE c.lease = 'reserve') AS day_reserve
    FROM clicks c WHERE c.smart_link_id = s.smart_link_id AND c.click_id >= $3 AND NOT c.is_bot AND c.lease <> 'exclusive') d
CROSS JOIN LATERAL (
    SELECT coalesce(sum(r.clicks), 0)::bigint AS clicks FROM click_hours r
    WHERE r.smart_link_id = s.smart_link_id AND r.hour >= $4) t
WHERE s.account_id = ANY($1::text[]) AND (s.state <> 'deleted' OR t.clicks > 0) ORDER BY s.smart_link_id;

-- name: stay
-- Mean seconds from a click of a pool to its latest visit, of clicks between two ids: a lease ago, when all of it has passed.
-- One pool at a time: the ids have to be known to the planner, or it reads all clicks of the smart links.
SELECT avg(extract(epoch FROM c.last_visit_at - c.clicked_at))::float8 AS stay
FROM smart_links s JOIN clicks c ON c.smart_link_id = s.smart_link_id AND c.click_id >= $3 AND c.click_id < $4
WHERE s.account_id = $1 AND s.offer = $2 AND NOT c.is_bot;
