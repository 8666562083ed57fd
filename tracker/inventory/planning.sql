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
-- Leases of each smart link by kind: since click id $2 (the last hour), and since $3 where that is earlier (the last day).
SELECT s.account_id, s.offer, s.smart_link_id, s.name,
       count(*) FILTER (WHERE c.lease = 'exclusive' AND c.click_id >= $2) AS hour_exclusive,
       count(*) FILTER (WHERE c.lease = 'shared' AND c.click_id >= $2) AS hour_shared,
       count(*) FILTER (WHERE c.lease = 'reserve' AND c.click_id >= $2) AS hour_reserve,
       count(*) FILTER (WHERE c.lease = 'exclusive') AS day_exclusive,
       count(*) FILTER (WHERE c.lease = 'shared') AS day_shared,
       count(*) FILTER (WHERE c.lease = 'reserve') AS day_reserve
FROM smart_links s
LEFT JOIN clicks c ON c.smart_link_id = s.smart_link_id AND c.click_id >= least($2::text, $3::text) AND NOT c.is_bot
WHERE s.account_id = ANY($1::text[])
GROUP BY s.account_id, s.offer, s.smart_link_id HAVING s.state <> 'deleted' OR count(c.click_id) > 0
ORDER BY s.smart_link_id;

-- name: stays
-- Mean seconds from a click to its latest visit, of clicks whose whole lease has passed: one hour's, a lease ago.
SELECT t.account_id, t.offer, avg(extract(epoch FROM c.last_visit_at - c.clicked_at))::float8 AS stay
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS t (account_id, offer, from_id, to_id)
JOIN smart_links s ON s.account_id = t.account_id AND s.offer = t.offer
JOIN clicks c ON c.smart_link_id = s.smart_link_id AND c.click_id >= t.from_id AND c.click_id < t.to_id
WHERE NOT c.is_bot GROUP BY t.account_id, t.offer;
