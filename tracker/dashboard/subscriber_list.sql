-- The account behind a smart link, for the list its new subscribers are added to.

-- name: account
-- How the provider knows the account, and its sealed key.
SELECT account_id, provider, provider_account_id, api_key_sealed FROM accounts WHERE team_id = $1 AND account_id = $2;
