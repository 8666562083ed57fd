-- Tags of links. Every query names the team.

-- name: list
-- The tags of one link.
SELECT tag FROM link_tags WHERE team_id = $1 AND kind = $2 AND target_id = $3 ORDER BY tag;

-- name: used
-- Every tag the team uses, for one kind of link or for all.
SELECT DISTINCT tag FROM link_tags WHERE team_id = $1 AND ($2::text IS NULL OR kind = $2) ORDER BY tag;

-- name: add
-- More tags; those it has already stay.
INSERT INTO link_tags (team_id, kind, target_id, tag) SELECT $1, $2, $3, t FROM unnest($4::text[]) t ON CONFLICT DO NOTHING;

-- name: remove
-- Fewer tags.
DELETE FROM link_tags WHERE team_id = $1 AND kind = $2 AND target_id = $3 AND tag = ANY($4::text[]);

-- name: clear
-- No tags.
DELETE FROM link_tags WHERE team_id = $1 AND kind = $2 AND target_id = $3;

-- name: smart_link
-- Whether the smart link is the team's.
SELECT smart_link_id FROM smart_links WHERE team_id = $1 AND smart_link_id = $2 AND state <> 'deleted' FOR SHARE;
