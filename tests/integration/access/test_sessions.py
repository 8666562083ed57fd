"""First run, logging in and out, and what a browser's request must carry."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from litestar import Request, post

from tests.integration.access.conftest import PASSWORD, SECRETS, Browser
from tests.integration.access.people import enter, set_up
from tracker.access import first_run
from tracker.api.app import create_app
from tracker.api.bootstrap import bootstrap
from tracker.management.services import Services
from tracker.settings import Settings
from tracker.stores.postgres import Pool


async def test_the_first_person_owns_the_team_and_nobody_comes_second(browser: Browser, pool: Pool) -> None:
    owner = browser()
    assert (await owner.get("/api/setup")).json()["data"] == {"needed": True}
    wrong = await owner.post("/api/setup", json={"token": "0" * 40, "email": "eve@example.com", "password": PASSWORD})
    assert (wrong.status_code, wrong.json()["error"]) == (403, "WRONG_TOKEN")
    await set_up(owner, team="Agency")
    me = (await owner.get("/api/session")).json()["data"]
    assert (me["email"], me["role"], me["teams"][0]["name"]) == ("owner@example.com", "owner", "Agency")
    assert "team.own" in me["permissions"]
    again = await browser().post(
        "/api/setup", json={"token": first_run.token(SECRETS), "email": "eve@example.com", "password": PASSWORD}
    )
    assert (again.status_code, again.json()["error"]) == (409, "SET_UP_ALREADY")
    assert (await owner.get("/api/setup")).json()["data"] == {"needed": False}
    assert await pool.fetchval("SELECT count(*) FROM users") == 1


async def test_the_first_person_adopts_the_team_of_bootstrap(
    browser: Browser, pool: Pool, database_url: str, redis_url: str
) -> None:
    made = await bootstrap(Settings(secret_key="k" * 40, database_url=database_url, redis_url=redis_url), "Headless")
    owner = browser()
    await set_up(owner)
    assert (await owner.get("/api/team")).json()["data"]["name"] == "Headless"
    assert (await owner.get("/api/session")).json()["data"]["team_id"] == made["team_id"]
    key = browser(Authorization=f"Bearer {made['api_key']}")
    assert len((await key.get("/api/team/members")).json()["data"]) == 1
    kinds = [row["action"] for row in (await owner.get("/api/audit-log")).json()["data"]]
    assert kinds == ["session.opened", "team.set_up", "team.created"]


async def test_two_first_persons_at_once_make_one(browser: Browser, pool: Pool) -> None:
    asked = [
        browser().post(
            "/api/setup",
            json={"token": first_run.token(SECRETS), "email": f"p{number}@example.com", "password": PASSWORD},
        )
        for number in range(4)
    ]
    statuses = sorted(answer.status_code for answer in await asyncio.gather(*asked))
    assert statuses == [201, 409, 409, 409]
    assert await pool.fetchval("SELECT count(*) FROM members") == 1


async def test_the_cookie_is_for_the_server_only(browser: Browser, pool: Pool) -> None:
    owner = browser()
    answer = await set_up(owner)
    cookie = answer.headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=lax", "Path=/"):
        assert part in cookie
    assert "Secure" not in cookie, "the api is reached by http here"
    token = owner.cookies["clickbind_session"]
    assert token not in answer.text
    stored = await pool.fetchrow("SELECT * FROM sessions")
    assert token not in str(dict(stored or {}))
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("settings", [Settings(public_api_url="https://track.example.com")])
async def test_by_https_the_cookie_is_secure_and_bound_to_the_host(browser: Browser) -> None:
    answer = await set_up(browser())
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-clickbind=")
    assert "Secure" in cookie
    assert "Domain" not in cookie


async def test_a_login_gives_a_new_token_and_ends_a_planted_one(browser: Browser) -> None:
    owner = browser()
    await set_up(owner)
    first = owner.cookies["clickbind_session"]
    await enter(owner)
    assert owner.cookies["clickbind_session"] != first
    old = browser()
    old.cookies.set("clickbind_session", first, domain="127.0.0.1")
    assert (await old.get("/api/session")).status_code == 401
    planted = browser()
    planted.cookies.set("clickbind_session", "a" * 43, domain="127.0.0.1", path="/")
    await enter(planted)
    assert planted.cookies["clickbind_session"] != "a" * 43


async def test_a_refused_login_leaves_the_session_as_it_is(browser: Browser) -> None:
    owner = browser()
    await set_up(owner)
    wrong = {"email": "owner@example.com", "password": "wrong wrong wrong"}
    refused = await owner.post("/api/session", json=wrong)
    assert refused.status_code == 401
    assert "set-cookie" not in refused.headers
    assert (await owner.get("/api/session")).status_code == 200


async def test_logging_out_here_and_everywhere(browser: Browser) -> None:
    one, two, three = browser(), browser(), browser()
    await set_up(one)
    csrf = {client: await enter(client) for client in (one, two, three)}
    listed = (await one.get("/api/sessions")).json()["data"]
    assert [row["is_this"] for row in listed].count(True) == 1
    assert len(listed) == 3
    token = two.cookies["clickbind_session"]
    gone = await two.delete("/api/session", headers={"X-CSRF-Token": csrf[two]})
    assert gone.status_code == 200
    two.cookies.set("clickbind_session", token, domain="127.0.0.1")
    assert (await two.get("/api/session")).status_code == 401, "the token is worth nothing, wherever it is kept"
    await three.delete("/api/sessions", headers={"X-CSRF-Token": csrf[three]})
    assert (await one.get("/api/session")).status_code == 401


async def test_sessions_end_when_idle_and_in_any_case(browser: Browser, pool: Pool) -> None:
    owner = browser()
    await set_up(owner)
    await pool.execute("UPDATE sessions SET last_seen_at = now() - interval '13 hours'")
    assert (await owner.get("/api/session")).status_code == 401
    await enter(owner)
    assert await pool.fetchval("SELECT count(*) FROM sessions") == 1, "what is over is swept"
    await pool.execute("UPDATE sessions SET last_seen_at = now() - interval '11 hours'")
    assert (await owner.get("/api/session")).status_code == 200, "seen again, it lives on"
    assert await pool.fetchval("SELECT now() - last_seen_at < interval '1 minute' FROM sessions")
    await pool.execute("UPDATE sessions SET expires_at = now() - interval '1 second'")
    assert (await owner.get("/api/session")).status_code == 401


async def test_a_mutation_by_cookie_needs_the_sessions_own_csrf_token(browser: Browser, pool: Pool) -> None:
    owner, other = browser(), browser()
    await set_up(owner)
    csrf = await enter(owner)
    foreign = await enter(other)
    for headers in (
        {},
        {"X-CSRF-Token": ""},
        {"X-CSRF-Token": "0" * 64},
        {"X-CSRF-Token": foreign},
        {"X-CSRF-Token": "ü"},
    ):
        answer = await owner.patch(
            "/api/team", json={"name": "Stolen"}, headers=[(k.encode(), v.encode()) for k, v in headers.items()]
        )
        assert (answer.status_code, answer.json()["error"]) == (403, "CSRF"), headers
    cross = {"X-CSRF-Token": csrf, "Sec-Fetch-Site": "cross-site"}
    assert (await owner.patch("/api/team", json={"name": "Stolen"}, headers=cross)).json()["error"] == "CROSS_SITE"
    cross = {"X-CSRF-Token": csrf, "Origin": "https://evil.example"}
    assert (await owner.patch("/api/team", json={"name": "Stolen"}, headers=cross)).json()["error"] == "CROSS_SITE"
    assert await pool.fetchval("SELECT name FROM teams") == "My team"
    ours = {"X-CSRF-Token": csrf, "Origin": "http://127.0.0.1:8401"}
    assert (await owner.patch("/api/team", json={"name": "Ours"}, headers=ours)).status_code == 200


async def test_a_form_carries_the_csrf_token_as_a_field(services: Services) -> None:
    @post("/form", permission="team.manage", status_code=200)
    async def form(request: Request[Any, Any, Any]) -> dict[str, str]:
        return {"name": (await request.form())["name"]}

    app: Any = create_app(services)
    app.register(form)
    transport = httpx.ASGITransport(app, client=("203.0.113.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8401") as owner:
        await set_up(owner)
        csrf = await enter(owner)
        assert (await owner.post("/form", data={"name": "x"})).status_code == 403
        answer = await owner.post("/form", data={"name": "x", "csrf": csrf})
        assert (answer.status_code, answer.json()) == (200, {"name": "x"})
        files = {"csrf": (None, csrf), "name": (None, "y")}
        assert (await owner.post("/form", files=files)).json() == {"name": "y"}


async def test_another_sites_page_cannot_log_a_browser_in(browser: Browser) -> None:
    await set_up(browser())
    body = {"email": "owner@example.com", "password": PASSWORD}
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ):
        answer = await browser().post("/api/session", json=body, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (403, "CROSS_SITE"), headers
        assert "set-cookie" not in answer.headers


async def test_a_header_is_the_caller_even_when_a_cookie_came_along(browser: Browser) -> None:
    owner = browser()
    await set_up(owner)
    assert (await owner.get("/api/team", headers={"Authorization": "Bearer cb_wrong"})).status_code == 401
    assert (await owner.get("/api/team", headers={"Authorization": "Basic eA=="})).status_code == 401
    doubled = [("Authorization", "Bearer a"), ("Authorization", "Bearer b")]
    assert (await owner.get("/api/team", headers=doubled)).status_code == 401
    smuggled = {"X-Team-Id": "team_other", "X-Original-URL": "/api/setup"}
    assert (await owner.get("/api/team?team_id=team_other", headers=smuggled)).json()["data"]["name"] == "My team"


async def test_changing_the_password_ends_every_other_session(browser: Browser) -> None:
    owner, other = browser(), browser()
    await set_up(owner)
    csrf = await enter(owner)
    await enter(other)
    before = owner.cookies["clickbind_session"]
    for body, status, error in (
        ({"current_password": "wrong wrong wrong", "new_password": PASSWORD + "!"}, 401, "INVALID_CREDENTIALS"),
        ({"current_password": PASSWORD, "new_password": "short"}, 422, "VALIDATION_ERROR"),
        ({"current_password": PASSWORD, "new_password": "password1234"}, 422, "VALIDATION_ERROR"),
        ({"current_password": PASSWORD, "new_password": "owner@example.com"}, 422, "VALIDATION_ERROR"),
    ):
        answer = await owner.post("/api/session/password", json=body, headers={"X-CSRF-Token": csrf})
        assert (answer.status_code, answer.json()["error"]) == (status, error)
    body = {"current_password": PASSWORD, "new_password": "another long one"}
    answer = await owner.post("/api/session/password", json=body, headers={"X-CSRF-Token": csrf})
    assert answer.status_code == 200, answer.text
    assert owner.cookies["clickbind_session"] != before
    assert (await owner.get("/api/session")).status_code == 200
    assert (await other.get("/api/session")).status_code == 401
    assert (
        await browser().post("/api/session", json={"email": "owner@example.com", "password": PASSWORD})
    ).status_code == 401
