"""The dashboard on real stores, asked over ASGI."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.integration.access.conftest import _cheap_passwords
from tracker.access import first_run
from tracker.api.app import create_app
from tracker.management.services import Services
from tracker.secrets import Secrets
from tracker.settings import Settings
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client

__all__ = ["_cheap_passwords"]

SECRETS = Secrets("k" * 40)
OWNER = {"email": "robin@example.com", "password": "correct horse battery", "again": "correct horse battery"}


@pytest.fixture
def settings() -> Settings:
    return Settings()


@pytest.fixture
def services(pool: Pool, redis: Client, settings: Settings) -> Services:
    return Services(settings, pool, redis, SECRETS)


@pytest.fixture
def stranger(services: Services) -> httpx.AsyncClient:
    """A browser nobody is logged in with."""
    app: Any = create_app(services)
    transport = httpx.ASGITransport(app, client=("203.0.113.9", 1))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8401")


@pytest.fixture
async def owner(stranger: httpx.AsyncClient) -> httpx.AsyncClient:
    """The first person, logged in."""
    answer = await stranger.post("/setup", data={**OWNER, "token": first_run.token(SECRETS), "team": "Select"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/overview")
    return stranger
