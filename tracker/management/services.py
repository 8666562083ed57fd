"""What operations work with."""

from __future__ import annotations

from dataclasses import dataclass

from tracker.secrets import Secrets
from tracker.settings import Settings
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client


@dataclass(frozen=True)
class Services:
    """Stores, settings and secrets of an api process."""

    settings: Settings
    pool: Pool
    redis: Client
    secrets: Secrets
