-- What a team can choose from in the dashboard's filters and forms.

-- name: accounts
-- The team's accounts, by name.
SELECT account_id, provider, username, display_name FROM accounts WHERE team_id = $1
ORDER BY lower(coalesce(nullif(display_name, ''), username)), account_id;

-- name: tags
-- Tags on the team's smart links.
SELECT DISTINCT tag FROM link_tags WHERE team_id = $1 AND kind = 'smart_links' ORDER BY tag LIMIT 500;
