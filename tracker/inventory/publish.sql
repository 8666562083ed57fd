-- What the edge reads from Valkey, as PostgreSQL knows it.

-- name: lock
-- One publisher of an account at a time, so that an older look never overwrites a newer one.
SELECT pg_advisory_xact_lock(hashtextextended('publish:' || $1, 0));

-- name: accounts
-- All accounts with something to publish.
SELECT account_id FROM accounts a
WHERE EXISTS (SELECT FROM smart_links s WHERE s.account_id = a.account_id)
   OR EXISTS (SELECT FROM inventory_links i WHERE i.account_id = a.account_id)
ORDER BY account_id;

-- name: account
-- Where an account's pools live, and the creator's own page.
SELECT shard, username, profile_url FROM accounts WHERE account_id = $1;

-- name: smart_links
-- The account's smart links; deleted ones too, the edge answers them with 410.
SELECT smart_link_id, offer, window_seconds, state, fallback_url FROM smart_links WHERE account_id = $1;

-- name: ready
-- Links the edge may send fans to.
SELECT inventory_link_id, offer, role, url FROM inventory_links
WHERE account_id = $1 AND state = 'ready' AND role IN ('pool', 'reserve') AND url IS NOT NULL
ORDER BY inventory_link_id;

-- name: offers
-- Every pool the account ever had: what is left of retired ones is cleared.
SELECT offer FROM inventory_links WHERE account_id = $1 AND role <> 'external'
UNION SELECT offer FROM smart_links WHERE account_id = $1;

-- name: lease_ends
-- Until when links are held by recorded visits (spec 4: window and a minute). $2 bounds both ids by their time.
SELECT held.inventory_link_id, max(held.until) AS until FROM (
    SELECT c.inventory_link_id, c.last_visit_at + make_interval(secs => s.window_seconds + 60) AS until
    FROM clicks c JOIN smart_links s USING (smart_link_id)
    WHERE c.inventory_link_id = ANY($1::bigint[]) AND c.click_id >= $2
    UNION ALL
    SELECT v.inventory_link_id, v.visited_at + make_interval(secs => s.window_seconds + 60)
    FROM visits v JOIN clicks c USING (click_id) JOIN smart_links s USING (smart_link_id)
    WHERE v.inventory_link_id = ANY($1::bigint[]) AND v.visit_id >= $2
) held GROUP BY held.inventory_link_id HAVING max(held.until) > now();
