"""`clickbind rotate-key`: re-seal everything under a new secret key, and say what to do next."""

from __future__ import annotations

from pathlib import Path

from tracker.rotation import Resealed, reseal, rotating_secrets
from tracker.settings import Settings
from tracker.stores import postgres
from tracker.stores.errors import StoreError
from tracker.stores.urls import database_url

# Ours is the one connection of the pool below; the roles' are the others.
ROLES_CONNECTED = """SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'clickbind' AND pid <> pg_backend_pid()"""


async def run(settings: Settings, new_key_file: Path | None) -> int:
    """Re-seal and report. Returns 1 when some value opens under no known key. Raises ConfigurationError, StoreError."""
    secrets = rotating_secrets(settings, new_key_file)
    pool = await postgres.open_pool(database_url(settings), max_size=1)
    try:
        if new_key_file is not None and await pool.fetchval(ROLES_CONNECTED):
            raise StoreError(
                "Clickbind is running, and would not be able to open what is sealed under a key it does not have. Either stop "
                "its roles (not PostgreSQL), or restart them with the new key in CLICKBIND_SECRET_KEY and the old one in "
                "CLICKBIND_OLD_SECRET_KEYS, and run `clickbind rotate-key` without a file."
            )
        result = await reseal(pool, secrets)
    finally:
        await pool.close()
    print(report(result, from_file=new_key_file is not None))
    return 1 if result.unopened else 0


def report(result: Resealed, *, from_file: bool) -> str:
    """Counts, what could not be opened, and the next step."""
    lines = [f"Sealed again under the new key: {sum(result.done.values())} values"]
    lines += [f"  {title}: {count}" for title, count in result.done.items()]
    if result.unopened:
        lines.append(f"Sealed under a key that is not configured, and left as they are: {len(result.unopened)}")
        lines += [f"  {context}" for context in result.unopened[:20]]
        lines.append("Next: add that key to CLICKBIND_OLD_SECRET_KEYS and run this again, or enter those secrets anew.")
    elif from_file:
        lines.append(
            "Next: make the new key CLICKBIND_SECRET_KEY (or put it into secret.key of the data folder), start Clickbind, and keep "
            "a copy of the new key with your backups. Backups made before need the old key."
        )
    else:
        lines.append(
            "Next: remove CLICKBIND_OLD_SECRET_KEYS and restart. Keep the old key with the backups made before: they need it."
        )
    return "\n".join(lines)
