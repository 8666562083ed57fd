"""People of a team as the dashboard's tests need them: several browsers, logged in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import httpx

from tests.integration.dashboard.conftest import SECRETS
from tracker.access import people
from tracker.access.people import SQL
from tracker.access.sessions import cookie_name, csrf_token
from tracker.access.sessions import open as open_session
from tracker.api.app import create_app
from tracker.management.services import Services


async def person(
    services: Services, email: str, role: str, granted: Sequence[str] = (), team_id: str = ""
) -> tuple[httpx.AsyncClient, str]:
    """Somebody of a role (of the only team, unless another is named), logged in: (their browser, their id)."""
    team_id = team_id or await services.pool.fetchval("SELECT team_id FROM members ORDER BY created_at LIMIT 1")
    user_id = await people.make(services.pool, email, "", None)
    await services.pool.fetchval(SQL["insert_member"], team_id, user_id, role, list(granted))
    token = await open_session(services.pool, SECRETS, services.settings, user_id, team_id, "203.0.113.9", "a browser")
    app: Any = create_app(services)
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app, client=("203.0.113.9", 1)), base_url="http://127.0.0.1:8401"
    )
    client.cookies.set(cookie_name(services.settings), token)
    client.headers["X-CSRF-Token"] = csrf_token(SECRETS, token)
    return client, user_id


async def with_token(client: httpx.AsyncClient, path: str = "/profile") -> httpx.AsyncClient:
    """The same browser, sending its page's token with every change."""
    page = (await client.get(path)).text
    found = re.search(r'<meta name="csrf" content="([0-9a-f]+)"', page)
    assert found is not None
    client.headers["X-CSRF-Token"] = found[1]
    return client


def readable(page: str) -> str:
    """A page without its tags, for looking for words."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
