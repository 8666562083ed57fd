"""What people do in these tests: set up, log in, invite, join."""

from __future__ import annotations

from typing import Any

import httpx

from tests.integration.access.conftest import PASSWORD, SECRETS, Browser
from tracker.access import first_run


async def set_up(client: httpx.AsyncClient, email: str = "owner@example.com", **more: str) -> httpx.Response:
    """The first run, done by `client`."""
    body = {"token": first_run.token(SECRETS), "email": email, "password": PASSWORD} | more
    answer = await client.post("/api/setup", json=body)
    assert answer.status_code == 201, answer.text
    return answer


async def enter(client: httpx.AsyncClient, email: str = "owner@example.com") -> str:
    """Log in; every later request carries the CSRF token, which is returned."""
    answer = await client.post("/api/session", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["data"]["csrf_token"])


async def signed_in(client: httpx.AsyncClient, email: str = "owner@example.com") -> httpx.AsyncClient:
    """`client` logged in, its CSRF token in its headers."""
    client.headers["X-CSRF-Token"] = await enter(client, email)
    return client


async def join(
    browser: Browser, inviter: httpx.AsyncClient, email: str, role: str, permissions: list[str] | None = None
) -> tuple[httpx.AsyncClient, str]:
    """Somebody invited and joined: (their client, their user id)."""
    body: dict[str, Any] = {"email": email, "role": role, "permissions": permissions or []}
    made = await inviter.post("/api/team/invitations", json=body)
    assert made.status_code == 201, made.text
    client = browser()
    token = made.json()["data"]["url"].partition("token=")[2]
    joined = await client.post("/api/invitations/accept", json={"token": token, "password": PASSWORD})
    assert joined.status_code == 201, joined.text
    client.headers["X-CSRF-Token"] = joined.json()["data"]["csrf_token"]
    return client, str(joined.json()["data"]["user_id"])
