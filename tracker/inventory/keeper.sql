-- Inventory links: rows come before the platform's links, so none is ever made twice or forgotten.

-- name: offers
-- Pools that an active smart link uses, with the longest window among them.
SELECT offer, max(window_seconds) AS window_seconds FROM smart_links
WHERE account_id = $1 AND state = 'active' GROUP BY offer ORDER BY offer;

-- name: links
-- Links in use or on their way.
SELECT inventory_link_id, offer, kind, role, state, name, claim_limit, expires_at, create_started_at,
       greatest(subscribers_seen, subscribers_read) AS subscribers
FROM inventory_links WHERE account_id = $1 AND role <> 'external' AND state IN ('creating', 'ready')
ORDER BY inventory_link_id;

-- name: begin
-- The row comes first, under the name the platform's link will carry.
WITH number AS (SELECT nextval(pg_get_serial_sequence('inventory_links', 'inventory_link_id')) AS id)
INSERT INTO inventory_links (inventory_link_id, account_id, offer, kind, role, state, name, create_started_at)
OVERRIDING SYSTEM VALUE
SELECT id, $1, $2, $3, $4, 'creating', 'cb-' || id, now() FROM number
RETURNING inventory_link_id, name;

-- name: ready
-- The platform made the link: usable from now on. One given up for lost that turned up late is taken too.
UPDATE inventory_links SET state = 'ready', provider_link_id = $2, url = $3, claim_limit = $4, expires_at = $5,
    retired_at = NULL, retired_reason = NULL
WHERE inventory_link_id = $1 AND provider_link_id IS NULL
  AND (state = 'creating' OR (state = 'retired' AND retired_reason = 'create_lost'))
RETURNING inventory_link_id;

-- name: discard
-- The provider surely did not make it.
DELETE FROM inventory_links WHERE inventory_link_id = $1 AND state = 'creating' AND provider_link_id IS NULL;

-- name: give_up
-- Looked for long enough; the name stays ours, should the link turn up late.
UPDATE inventory_links SET state = 'retired', retired_at = now(), retired_reason = 'create_lost'
WHERE inventory_link_id = ANY($1::bigint[]) AND state = 'creating';

-- name: awaited
-- Names whose links may still turn up.
SELECT inventory_link_id, kind, offer, name, create_started_at FROM inventory_links
WHERE account_id = $1 AND provider_link_id IS NULL AND (state = 'creating' OR retired_reason = 'create_lost');

-- name: reserve_imported
-- Where no link can be made, the newest imported one becomes the reserve, if the pool can spare it and there is none.
UPDATE inventory_links SET role = 'reserve' WHERE inventory_link_id = (
    SELECT max(inventory_link_id) FROM inventory_links
    WHERE account_id = $1 AND offer = $2 AND role = 'pool' AND state = 'ready' HAVING count(*) >= 3
) AND NOT EXISTS (
    SELECT FROM inventory_links r WHERE r.account_id = $1 AND r.offer = $2 AND r.role = 'reserve' AND r.state = 'ready');

-- name: retire
-- Out of use, with the reason. What fans hold already still works, and is still read.
UPDATE inventory_links SET state = 'retired', retired_at = now(), retired_reason = $2
WHERE inventory_link_id = $1 AND state = 'ready'
RETURNING inventory_link_id;
