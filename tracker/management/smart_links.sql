-- Smart links. Every query names the team.

-- name: insert
-- A smart link of an account of the team; nothing comes back when the account is not the team's.
INSERT INTO smart_links (smart_link_id, team_id, account_id, name, link_type, free_trial_days, offer, window_seconds, fallback_url)
SELECT $1, $2, a.account_id, $4, $5, $6, $7, $8, $9 FROM accounts a WHERE a.account_id = $3 AND a.team_id = $2
RETURNING smart_link_id;

-- name: page
-- The team's smart links, newest first; their totals come from the reports.
SELECT s.smart_link_id, s.name, s.link_type, s.free_trial_days, s.offer, s.window_seconds, s.fallback_url, s.state, s.created_at, s.updated_at,
       a.account_id, a.username, a.display_name,
       (SELECT coalesce(array_agg(t.tag ORDER BY t.tag), '{}') FROM link_tags t
        WHERE t.team_id = s.team_id AND t.kind = 'smart_links' AND t.target_id = s.smart_link_id) AS tags,
       (SELECT coalesce(array_agg(l.destination_id ORDER BY l.destination_id), '{}') FROM destination_links l
        JOIN destinations d USING (destination_id) WHERE l.smart_link_id = s.smart_link_id AND d.state <> 'deleted'
        AND d.scope = 'campaign_specific') AS destination_ids
FROM (
    SELECT * FROM smart_links s
    WHERE s.team_id = $1 AND s.state <> 'deleted'
      AND ($2::text[] IS NULL OR s.smart_link_id = ANY($2))
      AND ($3::text IS NULL OR strpos(lower(s.name), lower($3)) > 0)
      AND ($4::text[] IS NULL OR s.account_id = ANY($4))
      AND ($5::text[] IS NULL OR EXISTS (
          SELECT FROM destinations d WHERE d.team_id = $1 AND d.state <> 'deleted'
            AND (d.destination_id = ANY($5) OR d.number::text = ANY($5))
            AND (d.scope = 'global' OR EXISTS (
                SELECT FROM destination_links l WHERE l.destination_id = d.destination_id AND l.smart_link_id = s.smart_link_id))))
      AND ($6::text[] IS NULL OR EXISTS (
          SELECT FROM link_tags t WHERE t.team_id = $1 AND t.kind = 'smart_links' AND t.target_id = s.smart_link_id AND t.tag = ANY($6)))
      AND ($7::text[] IS NULL OR s.state = ANY($7))
    ORDER BY s.created_at DESC, s.smart_link_id DESC LIMIT $8 OFFSET $9
) s JOIN accounts a USING (account_id)
ORDER BY s.created_at DESC, s.smart_link_id DESC;

-- name: held
-- One smart link of the team, held until the change is done.
SELECT smart_link_id, account_id, name, link_type, free_trial_days, window_seconds, fallback_url, state FROM smart_links
WHERE team_id = $1 AND smart_link_id = $2 AND state <> 'deleted' FOR UPDATE;

-- name: update
-- The link as it is to be.
UPDATE smart_links SET name = $3, window_seconds = $4, fallback_url = $5, state = $6, link_type = $7, free_trial_days = $8, offer = $9,
    updated_at = now()
WHERE team_id = $1 AND smart_link_id = $2;

-- name: linkable
-- Which of these destinations of the team can be told what to serve; the others are global or not the team's.
SELECT destination_id FROM destinations
WHERE team_id = $1 AND state <> 'deleted' AND scope = 'campaign_specific' AND (destination_id = ANY($2::text[]) OR number::text = ANY($2::text[]));

-- name: unlink
-- The link's own destinations, before the new ones are set.
DELETE FROM destination_links l USING destinations d
WHERE l.smart_link_id = $2 AND d.destination_id = l.destination_id AND d.team_id = $1;

-- name: link
-- The destinations a smart link has besides the global ones.
INSERT INTO destination_links (destination_id, smart_link_id) SELECT d, $2 FROM unnest($1::text[]) d;
