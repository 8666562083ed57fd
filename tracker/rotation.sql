-- name: keep_value
-- Keep a value of the installation, unless there is one.
INSERT INTO installation_values (name, sealed) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: value
-- A value of the installation, sealed.
SELECT sealed FROM installation_values WHERE name = $1;

-- name: installation_values
-- Values not sealed under the current key ($1: version and key id), locked, after a name.
SELECT name AS id, sealed FROM installation_values
WHERE substring(sealed FROM 1 FOR 5) <> $1 AND name > $2 ORDER BY name LIMIT $3 FOR UPDATE;

-- name: accounts_api_key
-- Providers' keys not sealed under the current key, locked, after an id.
SELECT account_id AS id, api_key_sealed AS sealed FROM accounts
WHERE substring(api_key_sealed FROM 1 FOR 5) <> $1 AND account_id > $2 ORDER BY account_id LIMIT $3 FOR UPDATE;

-- name: accounts_webhook_secret
-- Webhook secrets not sealed under the current key, locked, after an id.
SELECT account_id AS id, webhook_secret_sealed AS sealed FROM accounts
WHERE substring(webhook_secret_sealed FROM 1 FOR 5) <> $1 AND account_id > $2 ORDER BY account_id LIMIT $3 FOR UPDATE;

-- name: destinations_secrets
-- Destinations' secrets not sealed under the current key, locked, after an id.
SELECT destination_id AS id, secrets_sealed AS sealed FROM destinations
WHERE substring(secrets_sealed FROM 1 FOR 5) <> $1 AND destination_id > $2 ORDER BY destination_id LIMIT $3 FOR UPDATE;

-- name: erasures_subject
-- Whom erasures under way are about, likewise.
SELECT erasure_id AS id, subject_sealed AS sealed FROM erasures
WHERE substring(subject_sealed FROM 1 FOR 5) <> $1 AND erasure_id > $2 ORDER BY erasure_id LIMIT $3 FOR UPDATE;

-- name: set_installation_values
-- A value re-sealed.
UPDATE installation_values SET sealed = $2 WHERE name = $1;

-- name: set_accounts_api_key
-- A provider's key re-sealed.
UPDATE accounts SET api_key_sealed = $2 WHERE account_id = $1;

-- name: set_accounts_webhook_secret
-- A webhook secret re-sealed.
UPDATE accounts SET webhook_secret_sealed = $2 WHERE account_id = $1;

-- name: set_destinations_secrets
-- A destination's secrets re-sealed.
UPDATE destinations SET secrets_sealed = $2 WHERE destination_id = $1;

-- name: set_erasures_subject
-- An erasure's subject re-sealed.
UPDATE erasures SET subject_sealed = $2 WHERE erasure_id = $1;
