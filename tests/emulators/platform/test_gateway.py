"""What every call passes: auth, contract checks, limits, faults, dead sessions, credits (spec 1.1, 6.3, 6.4)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from loadtests.emulators.platform import Platform

from .conftest import Api

ROOT = "/api/acct_madison"


async def kinds(api: Api) -> list[str]:
    """Kinds of the violations so far."""
    return [item["kind"] for item in await api.get("/__admin/violations")]


def enter_new_minute(platform: Platform) -> None:
    """Move to the start of a rate limit window, so that none ends within the test."""
    platform.world.clock.advance(60 - platform.world.clock.now().timestamp() % 60)


async def test_correct_use_leaves_no_violation_and_counts_credits(platform: Platform, api: Api) -> None:
    enter_new_minute(platform)
    await api.get("/api/whoami")
    await api.get("/api/accounts")
    await api.post(f"{ROOT}/tracking-links", name="x")
    answer = await api.client.get(f"{ROOT}/tracking-links")
    assert answer.headers["x-ofapi-credits-used"] == "1"
    assert answer.headers["x-rate-limit-limit-minute"] == "1000"
    assert int(answer.headers["x-rate-limit-remaining-minute"]) == 996
    await api.get(f"{ROOT}/stored/tracking-links")
    credits_ = await api.get("/__admin/credits")
    assert credits_["used"] == 2
    assert credits_["by_route"]["GET /api/{account}/stored/tracking-links"] == {"calls": 1, "credits": 0}
    log = await api.get("/__admin/log")
    assert [(row["method"], row["status"], row["credits"]) for row in log][2:] == [
        ("POST", 200, 1), ("GET", 200, 1), ("GET", 200, 0),
    ]  # fmt: skip
    assert log[2]["account_id"] == "acct_madison"
    assert await kinds(api) == []


@pytest.mark.parametrize(("header", "kind"), [(None, "missing_bearer"), ("Bearer nope", "wrong_bearer")])
async def test_bad_bearer(platform: Platform, api: Api, header: str | None, kind: str) -> None:
    headers = {} if header is None else {"Authorization": header}
    async with httpx.AsyncClient(base_url=platform.url, headers=headers, trust_env=False) as stranger:
        answer = await stranger.get("/api/whoami")
    assert answer.status_code == 401
    assert answer.json()["error"].startswith("Unauthorized.")
    assert await kinds(api) == [kind]


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/api/518588958/tracking-links", 404, "bad_account_prefix"),
        (f"{ROOT}/tracking-links?limit=101", 422, "limit_over_max"),
        (f"{ROOT}/stored/tracking-links?limit=1001", 422, "limit_over_max"),
        (f"{ROOT}/fans/active?limit=21", 422, "limit_over_max"),
        (f"{ROOT}/stored/tracking-links?filter.tags=x", 422, "dot_filter"),
        (f"{ROOT}/tracking-links?limit=ten", 422, "bad_parameter"),
        (f"{ROOT}/no-such-thing", 404, "unknown_path"),
    ],
)
async def test_contract_breaches_are_answered_and_kept(api: Api, path: str, status: int, kind: str) -> None:
    assert (await api.call("GET", path))[0] == status
    assert await kinds(api) == [kind]


async def test_body_must_be_json(api: Api) -> None:
    answer = await api.client.post(f"{ROOT}/tracking-links", data={"name": "x"})
    assert answer.status_code == 422
    assert await kinds(api) == ["not_json"]


async def test_unknown_account_is_no_breach(api: Api) -> None:
    status, body = await api.call("GET", "/api/acct_nobody/transactions")
    assert (status, body["error"]) == (404, "account_not_found")
    assert await kinds(api) == []


async def test_rate_limit_per_minute(platform: Platform, api: Api) -> None:
    enter_new_minute(platform)
    await api.post("/__admin/settings", rate_limit_minute=3)
    answers = [await api.client.get("/api/whoami") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 60
    assert answers[3].json()["error"] == "TOO_MANY_REQUESTS"
    await api.post("/__admin/clock/advance", seconds=60)
    assert (await api.client.get("/api/whoami")).status_code == 200


async def test_cloudflare_faults_are_used_up(api: Api) -> None:
    await api.post("/__admin/faults", cloudflare_429=1, bad_gateway={"count": 1, "path": "/transactions"})
    blocked = await api.client.get(f"{ROOT}/tracking-links")
    assert (blocked.status_code, blocked.headers["Retry-After"], blocked.json()["retry_after"]) == (429, "0", 30)
    assert (await api.client.get(f"{ROOT}/tracking-links")).status_code == 200
    page = await api.client.get(f"{ROOT}/transactions")
    assert page.status_code == 502
    assert page.headers["Content-Type"].startswith("text/html")
    assert (await api.client.get(f"{ROOT}/transactions")).status_code == 200


async def test_timed_out_create_has_made_the_link(api: Api) -> None:
    await api.post("/__admin/settings", create_timeout_mode="504")
    await api.post("/__admin/faults", create_timeout=1)
    answer = await api.client.post(f"{ROOT}/tracking-links", json={"name": "pool-9"})
    assert answer.status_code == 504
    assert "<html" in answer.text
    (row,) = (await api.get(f"{ROOT}/tracking-links"))["data"]["list"]
    assert row["campaignName"] == "pool-9"


async def test_hanging_create_drops_the_connection(api: Api) -> None:
    await api.post("/__admin/settings", create_timeout_mode="hang", create_hang=0.02)
    await api.post("/__admin/faults", create_timeout=1)
    trial = {"name": "pool-10", "duration": 7, "offerLimit": 0, "offerExpiration": 0}
    with pytest.raises(httpx.TransportError):
        await api.client.post(f"{ROOT}/trial-links", json=trial)
    (row,) = (await api.get(f"{ROOT}/trial-links"))["data"]["list"]
    assert row["trialLinkName"] == "pool-10"


async def test_dead_session_stops_live_calls_only(platform: Platform, api: Api) -> None:
    await api.post("/__admin/session", account_id="acct_madison", state="expired")
    status, body = await api.call("POST", f"{ROOT}/tracking-links", {"name": "x"})
    assert (status, body["error"]) == (401, "ONLYFANS_SESSION_EXPIRED")
    assert (await api.call("GET", f"{ROOT}/stored/tracking-links"))[0] == 200
    assert (await api.call("GET", "/api/acct_freya/tracking-links"))[0] == 200
    flags = {row["id"]: row["is_authenticated"] for row in await api.get("/api/accounts")}
    assert flags == {"acct_madison": False, "acct_freya": True}
    platform.world.settings.reauthenticate_takes = 30
    started = await api.post("/api/authenticate/acct_madison/reauthenticate")
    assert (await api.call("GET", f"{ROOT}/tracking-links"))[0] == 503
    assert (await api.get(started["polling_url"]))["progress"] == "started"
    await api.post("/__admin/clock/advance", seconds=31)
    assert await api.post("/__admin/settle", within=0)
    assert (await api.get(started["polling_url"]))["progress"] == "signed_in"
    assert (await api.call("GET", f"{ROOT}/tracking-links"))[0] == 200


async def test_expired_session_returns_by_itself(platform: Platform, api: Api) -> None:
    platform.world.settings.reconnect_after = (60, 1200)
    await api.post("/__admin/session", account_id="acct_madison", state="expired")
    await api.post("/__admin/clock/advance", seconds=59)
    assert (await api.call("GET", f"{ROOT}/transactions"))[0] == 401
    await api.post("/__admin/clock/advance", seconds=1200)
    await api.post("/__admin/settle", within=0)
    assert (await api.call("GET", f"{ROOT}/transactions"))[0] == 200


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("fans/subscribe", {}, 422),
        ("fans/subscribe", {"account_id": "acct_x"}, 404),
        ("fans/subscribe", {"link_url": "https://onlyfans.com/madison/c99"}, 404),
        ("fans/tip", {"account_id": "acct_madison"}, 422),
        ("faults", {"no_such_fault": 1}, 422),
        ("settings", {"no_such_setting": 1}, 422),
        ("clock/advance", {"seconds": -1}, 422),
    ],
)
async def test_admin_says_what_is_wrong(api: Api, path: str, body: dict[str, Any], status: int) -> None:
    answer = await api.call("POST", f"/__admin/{path}", body)
    assert answer[0] == status
    assert answer[1]["error"]
