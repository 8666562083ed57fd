"""API keys over HTTP: made, shown once, used, revoked, and never more than their maker."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.integration.dashboard.people import person, readable, with_token
from tracker.management.services import Services
from tracker.stores.postgres import Pool


def key_in(page: str) -> str:
    found = re.search(r'<code id="made-key">([^<]+)</code>', page)
    assert found is not None, readable(page)[:500]
    return html.unescape(found[1])


async def use(client: httpx.AsyncClient, key: str, path: str = "/api/session") -> httpx.Response:
    """A request by key alone, as a script makes it."""
    bare = httpx.AsyncClient(transport=client._transport, base_url=client.base_url)
    return await bare.get(path, headers={"Authorization": f"Bearer {key}"})


async def test_a_key_is_made_shown_once_used_and_revoked(owner: httpx.AsyncClient, pool: Pool) -> None:
    await with_token(owner)
    day = (datetime.now(UTC) + timedelta(days=3)).date()
    wish = {
        "name": "Reports",
        "scope": "some",
        "permissions": ["reports.view", "postbacks.manage"],
        "expires_on": str(day),
    }
    made = await owner.post("/keys", data=wish)
    key = key_in(made.text)
    assert made.headers["cache-control"] == "no-store"
    assert f"Bearer {key}" in made.text
    assert key not in (await owner.get("/keys")).text
    held = (await use(owner, key)).json()["data"]["permissions"]
    assert held == ["postbacks.manage", "postbacks.view", "reports.view"]
    page = readable((await owner.get("/keys")).text)
    assert "Postbacks ±" in page
    assert "just now" in page
    assert str(day + timedelta(days=1)) in page
    key_id = await pool.fetchval("SELECT api_key_id FROM api_keys")
    assert (await owner.post(f"/keys/{key_id}/name", data={"name": "Weekly"})).status_code == 303
    assert (await owner.post(f"/keys/{key_id}/name", data={"name": ""})).status_code == 422
    assert (await owner.post(f"/keys/{key_id}/revoke")).headers["location"] == "/keys?done=revoked"
    page = readable((await owner.get("/keys?done=revoked")).text)
    assert "Weekly" in page
    assert "worth nothing any more" in page
    assert (await use(owner, key)).status_code == 401


MISTAKES: tuple[tuple[Any, ...], ...] = (
    ({"scope": "all"}, "name", "must have 1 to 100"),
    ({"name": "a"}, "scope", "Choose all that you may"),
    ({"name": "a", "scope": "some"}, "permissions", "Tick at least one"),
    ({"name": "a", "scope": "some", "permissions": "team.own"}, "permissions", "no permission"),
    ({"name": "a", "scope": "all", "expires_on": "2020-01-01"}, "expires_on", "time to come"),
    ({"name": "a", "scope": "all", "expires_on": "tomorrow"}, "expires_on", "Write a day"),
    ({"name": "a", "scope": "all", "expires_on": "9999-12-31"}, "expires_on", "Write a day"),
)


async def test_a_wrong_key_says_why_and_makes_none(owner: httpx.AsyncClient, pool: Pool) -> None:
    for wish, field, words in MISTAKES:
        await with_token(owner)
        answer = await owner.post("/keys", data=wish)
        assert answer.status_code == 422
        assert f'id="{field}-wrong"' in answer.text
        assert words in html.unescape(answer.text)
        assert await pool.fetchval("SELECT count(*) FROM api_keys") == 0


async def test_a_key_never_outdoes_its_maker(owner: httpx.AsyncClient, services: Services, pool: Pool) -> None:
    await with_token(owner)
    developer, developer_id = await person(services, "dev@example.com", "developer")
    refused = await developer.post("/keys", data={"name": "a", "scope": "some", "permissions": "postbacks.manage"})
    assert (refused.status_code, "what you may not do yourself" in refused.text) == (403, True)
    assert re.search(r'value="postbacks.manage"[^>]*disabled', refused.text)
    theirs = key_in((await developer.post("/keys", data={"name": "theirs", "scope": "all"})).text)
    await owner.post("/keys", data={"name": "strong", "scope": "all"})
    strong = await pool.fetchval("SELECT api_key_id FROM api_keys WHERE name = 'strong'")
    assert "may more than you" in (await developer.get("/keys")).text
    refused = await developer.post(f"/keys/{strong}/revoke")
    assert (refused.status_code, "what you may not do yourself" in refused.text) == (403, True)
    assert (await use(developer, theirs, "/api/smart-links")).status_code == 200
    await owner.post(f"/team/members/{developer_id}", data={"role": "custom", "permissions": "api-keys.view"})
    assert (await use(developer, theirs, "/api/smart-links")).status_code == 403
    page = readable((await developer.get("/keys")).text)
    assert "needs the permission api-keys.manage" in page
    await owner.post(f"/team/members/{developer_id}/remove")
    assert (await use(owner, theirs)).status_code == 401


async def test_a_key_of_another_team_does_not_exist(owner: httpx.AsyncClient, services: Services, pool: Pool) -> None:
    await with_token(owner)
    await pool.execute("INSERT INTO teams (team_id, name) VALUES ('t2', 'Others')")
    other, _ = await person(services, "o@example.com", "admin", team_id="t2")
    await other.post("/keys", data={"name": "Their secret", "scope": "all"})
    key_id = await pool.fetchval("SELECT api_key_id FROM api_keys")
    assert (await owner.post(f"/keys/{key_id}/revoke")).status_code == 404
    assert (await owner.post(f"/keys/{key_id}/name", data={"name": "x"})).status_code == 404
    assert "Their secret" not in (await owner.get("/keys")).text
    assert await pool.fetchval("SELECT revoked_at FROM api_keys") is None


async def test_a_key_is_no_person(owner: httpx.AsyncClient) -> None:
    await with_token(owner)
    key = key_in((await owner.post("/keys", data={"name": "script", "scope": "all"})).text)
    refused = await use(owner, key, "/profile")
    assert (refused.status_code, "not of an API key" in refused.text) == (403, True)
    for _ in range(60):
        await owner.post("/keys", data={"name": "many", "scope": "all"})
    assert 'rel="next"' in (await owner.get("/keys")).text
    assert "script" in (await owner.get("/keys?page=2")).text
    assert "no API key on this page" in readable((await owner.get("/keys?page=900")).text)
