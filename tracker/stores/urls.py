"""Where the stores are: as configured, or the embedded ones of the data folder."""

from __future__ import annotations

from tracker.settings import Settings
from tracker.stores.embedded import DataFolder


def database_url(settings: Settings) -> str:
    """DATABASE_URL, or the embedded PostgreSQL's socket."""
    return settings.database_url or DataFolder(settings.data_path).database_url


def redis_url(settings: Settings) -> str:
    """REDIS_URL, or the embedded Valkey's socket."""
    return settings.redis_url or DataFolder(settings.data_path).redis_url
