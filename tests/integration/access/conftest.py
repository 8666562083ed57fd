"""The api on real stores, asked over ASGI by keys, browsers and strangers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tracker.access import passwords
from tracker.access.passwords import Cost
from tracker.api.app import create_app
from tracker.management.services import Services
from tracker.secrets import Secrets
from tracker.settings import Settings
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client

SECRETS = Secrets("k" * 40)
PASSWORD = "correct horse battery"

Browser = Callable[..., httpx.AsyncClient]


@pytest.fixture(autouse=True)
def _cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "COST", Cost(n=2**10))


@pytest.fixture
def settings() -> Settings:
    return Settings(trusted_proxies=("127.0.0.0/8",))


@pytest.fixture
def services(pool: Pool, redis: Client, settings: Settings) -> Services:
    return Services(settings, pool, redis, SECRETS)


@pytest.fixture
def browser(services: Services) -> Browser:
    """Makes clients with a cookie jar of their own, at an address."""
    app: Any = create_app(services)

    def make(address: str = "203.0.113.1", **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app, client=(address, 1))
        return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8401", headers=headers)

    return make
