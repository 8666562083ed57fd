"""The management API and the webhook inbox over HTTP, as clients and strangers use them."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import aiohttp
import asyncpg
import pytest

from loadtests.demo.stage import Stage
from tracker.stores.urls import database_url


async def _call(
    stage: Stage, method: str, path: str, body: Any = None, *, key: str | None = None, raw: bytes | None = None
) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {stage.api_key if key is None else key}"}
    url = f"http://127.0.0.1:{stage.settings.api_port}{path}"
    if raw is not None:
        headers["Content-Type"] = "application/json"
    async with stage.session.request(
        method, url, json=body if raw is None else None, data=raw, headers=headers
    ) as answer:
        return answer.status, await answer.json()


async def test_a_smart_link_lives_from_creation_to_deletion(stage: Stage) -> None:
    account = stage.account_ids["madison"]
    new = {
        "account_id": account,
        "name": "Meta / A",
        "link_type": "free_trial",
        "free_trial_days": 7,
        "window_seconds": 3600,
    }
    status, made = await _call(stage, "POST", "/api/smart-links", new)
    assert status == 201
    link = made["data"]
    assert link["traffic_redirect_url"].endswith(f"/go/{link['id']}")
    assert (link["clicks_count"], link["free_trial_days"], link["state"]) == (0, 7, "active")
    async with stage.session.get(
        link["traffic_redirect_url"], allow_redirects=False, headers={"User-Agent": "Mozilla/5.0 (iPhone)"}
    ) as answer:
        assert answer.status == 302, "a smart link redirects from its first second"
    status, changed = await _call(
        stage, "PATCH", f"/api/smart-links/{link['id'].lower()}", {"state": "paused", "name": "B"}
    )
    assert (status, changed["data"]["state"], changed["data"]["name"]) == (200, "paused", "B")
    assert changed["data"]["window_seconds"] == 3600
    status, listed = await _call(stage, "GET", "/api/smart-links?limit=1")
    assert len(listed["data"]) == 1
    assert listed["_pagination"]["next_page"].endswith("limit=1&offset=1")
    status, _ = await _call(stage, "DELETE", f"/api/smart-links/{link['id']}")
    assert status == 200
    status, gone = await _call(stage, "GET", f"/api/smart-links/{link['id']}")
    assert (status, gone["error"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"free_trial_days": 5}, "free_trial_days"),
        ({"link_type": "tracking_link"}, "free_trial_days"),
        ({"link_type": "magic"}, "link_type"),
        ({"name": ""}, "name"),
        ({"name": 7}, "name"),
        ({"window_seconds": 0}, "window_seconds"),
        ({"fallback_url": "javascript:alert(1)"}, "fallback_url"),
        ({"fallback_url": "https://example.com/\r\nSet-Cookie: x=1"}, "fallback_url"),
        ({"account_id": "acct_someone_else"}, "account_id"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_wrong_smart_link_is_refused_naming_the_field(stage: Stage, change: dict[str, Any], field: str) -> None:
    new = {
        "account_id": stage.account_ids["madison"],
        "name": "A",
        "link_type": "free_trial",
        "free_trial_days": 7,
    } | change
    status, refused = await _call(stage, "POST", "/api/smart-links", new)
    assert status in (400, 422)
    assert field in json.dumps(refused["errors"])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": "https://{click_id}.example.com/"}, "url"),
        ({"url": "ftp://example.com/"}, "url"),
        ({"url": "https://example.com/?a={nonsense}"}, "url"),
        ({"conversion_types": ["new_follower"]}, "conversion_types"),
        ({"conversion_types": []}, "conversion_types"),
        ({"smart_link_scope": "campaign_specific"}, "smart_link_ids"),
        ({"smart_link_scope": "campaign_specific", "smart_link_ids": ["01KE2JN9RBPAZNYSXKMYHR4JP2"]}, "smart_link_ids"),
        ({"headers": [{"name": "Host", "value": "x"}]}, "headers"),
    ],
)
async def test_a_wrong_postback_is_refused_naming_the_field(stage: Stage, change: dict[str, Any], field: str) -> None:
    new = {
        "url": "https://example.com/?a={click_id}",
        "smart_link_scope": "global",
        "conversion_types": ["new_subscriber"],
    }
    status, refused = await _call(stage, "POST", "/api/smart-link-postbacks", new | change)
    assert status in (400, 422)
    assert field in json.dumps(refused["errors"])


async def test_a_postback_can_be_changed_and_removed(stage: Stage) -> None:
    new = {
        "url": "https://example.com/?a={click_id}",
        "smart_link_scope": "global",
        "conversion_types": ["new_subscriber"],
    }
    status, made = await _call(stage, "POST", "/api/smart-link-postbacks", new)
    assert status == 201
    path = f"/api/smart-link-postbacks/{made['data']['id']}"
    change = {"url": "https://example.com/?b={ecid}"}
    status, _ = await _call(stage, "PATCH", path, change)
    assert status == 422, "an unknown variable is refused on a change too"
    change = {"url": "https://example.com/?b={external_click_id}", "state": "paused"}
    status, changed = await _call(stage, "PATCH", path, change)
    assert (status, changed["data"]["url"], changed["data"]["state"]) == (200, change["url"], "paused")
    assert changed["data"]["conversion_types"] == ["new_subscriber"]
    status, deliveries = await _call(stage, "GET", path + "/deliveries")
    assert (status, deliveries["data"]) == (200, [])
    status, replayed = await _call(stage, "POST", path + "/replay", {})
    assert (status, replayed["data"]) == (200, {"replayed": 0})
    assert (await _call(stage, "DELETE", path))[0] == 200
    assert (await _call(stage, "GET", path))[0] == 404


async def test_what_waits_for_a_deleted_postback_is_closed_with_the_reason(stage: Stage) -> None:
    new = {"url": "https://example.com/", "smart_link_scope": "global", "conversion_types": ["message_received"]}
    _, made = await _call(stage, "POST", "/api/smart-link-postbacks", new)
    connection = await asyncpg.connect(database_url(stage.settings))
    try:
        await connection.execute(
            "INSERT INTO delivery_events (event_id, day, event_type, occurred_at, facts)"
            " VALUES ('gone', current_date, 'message_received', now(), '{}')"
        )
        await connection.execute(
            "INSERT INTO deliveries (event_id, destination_id, day, due_at)"
            " VALUES ('gone', $1, current_date, now() + interval '1 day')",
            made["data"]["destination_id"],
        )
        assert (await _call(stage, "DELETE", f"/api/smart-link-postbacks/{made['data']['id']}"))[0] == 200
        row = await connection.fetchrow("SELECT state, verdict FROM deliveries WHERE event_id = 'gone'")
        await connection.execute("DELETE FROM deliveries WHERE event_id = 'gone'")
        await connection.execute("DELETE FROM delivery_events WHERE event_id = 'gone'")
    finally:
        await connection.close()
    assert row is not None
    assert row["state"] == "dead"
    assert "deleted" in row["verdict"]


async def test_credentials_are_checked_and_never_shown(stage: Stage) -> None:
    for key in ("", "cb_wrong", "x" * 5000):
        status, refused = await _call(stage, "GET", "/api/smart-links", key=key)
        assert (status, refused["error"]) == (401, "UNAUTHORIZED")
    _, accounts = await _call(stage, "GET", "/api/connected-accounts")
    shown = json.dumps(accounts)
    assert "test-key" not in shown
    assert accounts["data"][0]["session"]["state"] == "ok"


async def test_malformed_requests_get_4xx(stage: Stage) -> None:
    for raw in (b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"name": ' + b"[" * 2000):
        status, refused = await _call(stage, "POST", "/api/smart-links", raw=raw)
        assert 400 <= status < 500, (raw, refused)
    status, _ = await _call(stage, "POST", "/api/smart-links", raw=b"x" * (2 << 20))
    assert status == 413
    assert (await _call(stage, "GET", "/api/smart-links?limit=0"))[0] in (400, 422)
    assert (await _call(stage, "GET", "/api/smart-links?limit=abc"))[0] in (400, 422)
    assert (await _call(stage, "GET", "/api/smart-links/%00"))[0] == 400
    assert (await _call(stage, "GET", "/api/smart-links/nonsense"))[0] == 404
    new = {"account_id": stage.account_ids["ava"], "name": "a\x00b", "link_type": "tracking_link"}
    assert (await _call(stage, "POST", "/api/smart-links", new))[0] == 400
    assert (await _call(stage, "GET", "/api/smart-links?offset=99999999999999999999"))[0] in (400, 422)
    assert (await _call(stage, "GET", "/api/nothing"))[0] == 404


class TestWebhooks:
    """`POST /webhooks/{provider}/{account_id}`."""

    async def _post(self, stage: Stage, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
        url = f"http://127.0.0.1:{stage.settings.api_port}/webhooks/{path}"
        async with stage.session.post(url, data=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def _connect(self, stage: Stage, name: str) -> tuple[str, str]:
        new = {"provider_account_id": f"acct_{name}", "api_key": "test-key"}
        status, made = await _call(stage, "POST", "/api/connected-accounts", new)
        assert status == 201
        return made["data"]["id"], made["data"]["webhook_secret"]

    async def test_wrong_ones_get_a_reason_and_unknown_events_are_kept(self, stage: Stage) -> None:
        account_id, secret = await self._connect(stage, "hooks")
        path = f"onlyfansapi/{account_id}"
        body = json.dumps({"event": "moon.phase", "account_id": "acct_hooks", "payload": {}}).encode()

        def sign(content: bytes, key: str = secret) -> dict[str, str]:
            return {"Signature": hmac.new(key.encode(), content, hashlib.sha256).hexdigest()}

        for wrong_path, content, headers, expected in (
            (path, body, sign(body, "other"), 401),
            (path, body, {}, 401),
            (path, body + b" ", sign(body), 401),
            (path, b"not json", sign(b"not json"), 400),
            (path, b"[1]", sign(b"[1]"), 400),
            ("onlyfansapi/acct_unknown", body, sign(body), 404),
            (f"nobody/{account_id}", body, sign(body), 404),
            (path, b"x" * (2 << 20), sign(b""), 413),
        ):
            status, answer = await self._post(stage, wrong_path, content, headers)
            assert status == expected, answer
            assert answer["message"]
        headers = sign(body) | {"X-OFAPI-Idempotency-Key": "evt_1"}
        assert await self._post(stage, path, body, headers) == (200, {"received": True, "duplicate": False})
        assert await self._post(stage, path, body, headers) == (200, {"received": True, "duplicate": True})
        connection = await asyncpg.connect(database_url(stage.settings))
        try:
            row = await connection.fetchrow(
                "SELECT event_type, body, times_seen FROM webhooks WHERE account_id = $1", account_id
            )
        finally:
            await connection.close()
        assert row is not None
        assert (row["event_type"], row["body"], row["times_seen"]) == ("moon.phase", body, 2)

    async def test_connecting_the_same_account_twice_is_refused(self, stage: Stage) -> None:
        await self._connect(stage, "twice")
        status, refused = await _call(
            stage, "POST", "/api/connected-accounts", {"provider_account_id": "acct_twice", "api_key": "k"}
        )
        assert (status, refused["error"]) == (409, "ALREADY_CONNECTED")


async def test_another_teams_things_do_not_exist(stage: Stage) -> None:
    from tracker.api.bootstrap import bootstrap

    other = (await bootstrap(stage.settings, "Other team"))["api_key"]
    link = stage.smart_links["meta"]
    for method, path, body in (
        ("GET", f"/api/smart-links/{link}", None),
        ("PATCH", f"/api/smart-links/{link}", {"name": "stolen"}),
        ("DELETE", f"/api/smart-links/{link}", None),
        ("GET", f"/api/smart-links/{link}/stats", None),
        ("GET", f"/api/connected-accounts/{stage.account_ids['madison']}", None),
        ("GET", f"/api/smart-link-postbacks/{stage.postback_id}", None),
        ("PATCH", f"/api/smart-link-postbacks/{stage.postback_id}", {"state": "paused"}),
        ("DELETE", f"/api/smart-link-postbacks/{stage.postback_id}", None),
        ("GET", f"/api/smart-link-postbacks/{stage.postback_id}/deliveries", None),
        ("POST", f"/api/smart-link-postbacks/{stage.postback_id}/replay", {}),
    ):
        status, _ = await _call(stage, method, path, body, key=other)
        assert status == 404, (method, path)
    assert (await _call(stage, "GET", "/api/smart-links", key=other))[1]["data"] == []
    assert (await _call(stage, "GET", f"/api/smart-links/{link}"))[0] == 200


async def test_health_says_ready(stage: Stage) -> None:
    async with aiohttp.ClientSession() as session:
        for port in (stage.settings.api_port, stage.settings.edge_port):
            async with session.get(f"http://127.0.0.1:{port}/health/ready") as answer:
                assert answer.status == 200


async def test_the_schema_is_served_and_loads_nothing_from_elsewhere(stage: Stage) -> None:
    status, schema = await _call(stage, "GET", "/schema/openapi.json")
    assert status == 200
    assert "/api/smart-links" in schema["paths"]
    async with stage.session.get(f"http://127.0.0.1:{stage.settings.api_port}/schema") as answer:
        assert "<script" not in await answer.text()
