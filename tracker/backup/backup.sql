-- What backup and restore ask PostgreSQL.

-- name: snapshot
-- The snapshot that the dump and the counts share, and when and where it is.
SELECT pg_export_snapshot() AS snapshot, current_setting('server_version') AS version,
       to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS moment;

-- name: has_schema
-- Whether Clickbind was ever here.
SELECT to_regclass('public.schema_migrations') IS NOT NULL;

-- name: migrations
-- The schema's version.
SELECT number FROM public.schema_migrations ORDER BY number;

-- name: tables
-- Every table, partitions left out.
SELECT c.relname AS table_name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY c.relname;

-- name: anything
-- A few names of what is in the schema, or NULL.
SELECT string_agg(name, ', ') FROM (
    SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'S') ORDER BY c.relname LIMIT 3) found;
