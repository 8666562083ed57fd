"""OFAuth: connections, promotions, people, earnings, limits, both error and signature generations (upstream spec 2)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from loadtests.emulators.platform import Platform

from .conftest import Api, Receiver

ACCESS = "/ofauth/v2/access"
LINKS = f"{ACCESS}/promotions"
KEYS = {"apiKey": "ofauth-key", "x-connection-id": "conn_madison"}


async def call(api: Api, method: str, path: str, body: Any = None, **params: Any) -> tuple[int, Any]:
    """One call on madison's connection."""
    answer = await api.client.request(method, path, json=body, params=params or None, headers=KEYS)
    return answer.status_code, answer.json()


async def read(api: Api, path: str, **params: Any) -> Any:
    """GET that must succeed."""
    status, body = await call(api, "GET", path, **params)
    assert status == 200, body
    return body


async def kinds(api: Api) -> list[str]:
    """Kinds of the violations so far."""
    return [item["kind"] for item in await api.get("/__admin/violations")]


async def test_whoami_and_connections(platform: Platform, api: Api) -> None:
    platform.world.add_account("elsewhere", vendors=("onlymonster",))
    assert "promotions:write" in (await read(api, "/ofauth/v2/account/whoami"))["permissions"]
    rows = (await read(api, "/ofauth/v2/account/connections"))["list"]
    assert [(row["id"], row["status"]) for row in rows] == [("conn_madison", "active"), ("conn_freya", "active")]
    assert rows[0]["userData"] == {"id": "518588958", "name": "Madison", "username": "madison", "avatar": ""}
    await api.post("/__admin/session", account_id="conn_madison", state="expired")
    expired = (await read(api, "/ofauth/v2/account/connections", status="expired"))["list"]
    assert [row["id"] for row in expired] == ["conn_madison"]
    assert (await call(api, "DELETE", "/ofauth/v2/account/connections/conn_madison"))[0] == 200
    assert (await call(api, "GET", f"{LINKS}/trial-links"))[0] == 404


async def test_tracking_link_life(api: Api) -> None:
    status, made = await call(api, "POST", f"{LINKS}/tracking-links", {"name": "pool-1"})
    assert status == 200
    (row,) = made
    assert "url" not in row
    fan = (await api.post("/__admin/fans/subscribe", link_id=row["id"]))["fan_id"]
    (listed,) = (await read(api, f"{LINKS}/tracking-links"))["list"]
    assert (listed["id"], listed["campaignCode"], listed["countSubscribers"]) == (row["id"], 1, 1)
    one = f"{LINKS}/tracking-links/{row['id']}"
    assert [user["id"] for user in (await read(api, f"{one}/claimers"))["list"]] == [fan]
    assert (await call(api, "PUT", one, {"name": "pool-2"}))[1] == {"id": row["id"], "name": "pool-2"}
    await api.post("/__admin/settings", ofauth_link_rows="bare", ofauth_create_answer="object")
    assert await read(api, one) == {"id": row["id"], "name": "pool-2"}
    assert set((await call(api, "POST", f"{LINKS}/tracking-links", {"name": "x"}))[1]) == {"id", "name"}
    assert (await call(api, "DELETE", one))[1] == {"success": True}
    assert (await call(api, "GET", one))[0] == 404
    assert (await call(api, "POST", f"{LINKS}/tracking-links", {"name": "x" * 101}))[0] == 400


CURRENT = {"name": "pool", "durationDays": "1w", "offer": {"limit": 1, "expirationDays": 2}}
LEGACY = {"trialLinkName": "pool", "subscribeDays": 7, "subscribeCounts": 1, "expiredAt": "2099-01-01T00:00:00Z"}


@pytest.mark.parametrize("body", [CURRENT, LEGACY])
async def test_both_trial_bodies_make_the_same_link(api: Api, body: dict[str, Any]) -> None:
    status, made = await call(api, "POST", f"{LINKS}/trial-links", body)
    assert status == 200
    assert (made["trialLinkName"], made["subscribeDays"], made["subscribeCounts"]) == ("pool", 7, 1)
    assert made["expiredAt"] is not None
    fan = (await api.post("/__admin/fans/subscribe", link_url=made["url"]))["fan_id"]
    await api.post("/__admin/fans/subscribe", account_id="acct_madison")
    (row,) = (await read(api, f"{LINKS}/trial-links"))["list"]
    assert (row["claimCounts"], row["isFinished"], row["clicksCounts"]) == (1, True, 1)
    found = await read(api, f"{ACCESS}/subscribers", **{"filter[trial_id]": row["id"]})
    assert [user["id"] for user in found["list"]] == [fan]
    assert found["list"][0]["subscription"]["history"][0]["type"] == "trial"
    assert len((await read(api, f"{ACCESS}/subscribers"))["list"]) == 2
    await api.post("/__admin/settings", ofauth_list_answer="array")
    assert [link["id"] for link in await read(api, f"{LINKS}/trial-links")] == [row["id"]]


@pytest.mark.parametrize(
    ("allowed", "body", "kind"), [("current", LEGACY, "legacy_trial_body"), ("legacy", CURRENT, "current_trial_body")]
)
async def test_a_generation_refuses_the_other_ones_body(
    api: Api, allowed: str, body: dict[str, Any], kind: str
) -> None:
    await api.post("/__admin/settings", ofauth_trial_body=allowed)
    assert (await call(api, "POST", f"{LINKS}/trial-links", body))[0] == 400
    assert await kinds(api) == [kind]


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x", "durationDays": 5},
        {"name": "x", "durationDays": "5d"},
        {"name": "x", "durationDays": [7]},
        {"name": "x" * 65, "durationDays": 7},
        {"name": "x", "durationDays": 7, "offer": {"limit": -1}},
        {"trialLinkName": "x", "subscribeDays": 366},
        {"trialLinkName": "x", "subscribeDays": 7, "subscribeCounts": 0},
        {"trialLinkName": "x", "subscribeDays": 7, "expiredAt": "soon"},
    ],
)
async def test_bad_trial_bodies(api: Api, body: dict[str, Any]) -> None:
    assert (await call(api, "POST", f"{LINKS}/trial-links", body))[0] == 400


async def test_transactions_and_chargebacks_by_marker(platform: Platform, api: Api) -> None:
    now = platform.world.clock.now().timestamp()
    fan = (await api.post("/__admin/fans/subscribe", account_id="acct_freya"))["fan_id"]
    paid = [
        await api.post("/__admin/fans/tip", account_id="acct_madison", fan_id=fan, amount=n + 1, at=now - 100 * n - 1)
        for n in range(12)
    ]
    first = await read(api, f"{ACCESS}/earnings/transactions")
    assert [row["id"] for row in first["list"]] == [act["transaction_id"] for act in paid[:10]]
    amounts = first["list"][4]["amounts"]
    assert (amounts["gross"], amounts["net"], amounts["fee"]) == (5, 4, 1)
    second = await read(api, f"{ACCESS}/earnings/transactions", marker=first["nextMarker"])
    assert [row["id"] for row in second["list"]] == [act["transaction_id"] for act in paid[10:]]
    assert (second["hasMore"], second["nextMarker"]) == (False, None)
    await api.post("/__admin/fans/chargeback", transaction_id=paid[3]["transaction_id"])
    (back,) = (await read(api, f"{ACCESS}/earnings/chargebacks"))["list"]
    assert (back["payment"]["id"], back["payment"]["status"]) == (paid[3]["transaction_id"], "undo")
    assert await read(api, f"{ACCESS}/earnings/transactions", type="chat_messages") == {
        "list": [], "hasMore": False, "nextMarker": None,
    }  # fmt: skip


async def test_notes_lists_and_chats(api: Api) -> None:
    fan = (await api.post("/__admin/fans/subscribe", account_id="acct_madison"))["fan_id"]
    assert await call(api, "PUT", f"{ACCESS}/subscribers/{fan}/note", {"notice": "from the ad"}) == (200, {})
    assert (await call(api, "PUT", f"{ACCESS}/subscribers/{fan}/note", {"notice": "x" * 1001}))[0] == 400
    made = (await call(api, "POST", f"{ACCESS}/users/lists", {"name": "Smart link"}))[1]
    added = (await call(api, "POST", f"{ACCESS}/users/{fan}/lists", {"listIds": [made["id"], 9]}))[1]
    assert added == {
        "success": [{"listId": made["id"], "success": True}], "errors": [{"listId": 9, "error": "List not found"}],
    }  # fmt: skip
    one = f"{ACCESS}/users/lists/{made['id']}/users/{fan}"
    assert (await call(api, "POST", one))[1]["list"]["usersCount"] == 1
    assert (await read(api, f"{ACCESS}/subscribers"))["list"][0]["lists"][0]["name"] == "Smart link"
    assert (await call(api, "DELETE", one))[1]["userState"]["hasUser"] is False
    await api.post("/__admin/fans/message", account_id="acct_madison", fan_id=fan, text="hey")
    chat = f"{ACCESS}/chats/{fan}/messages"
    assert (await call(api, "POST", chat, {"text": "welcome"}))[1]["text"] == "<p>welcome</p>"
    assert [row["text"] for row in (await read(api, chat))["list"]] == ["<p>welcome</p>", "<p>hey</p>"]
    assert (await read(api, f"{ACCESS}/chats"))["list"][0]["withUser"]["id"] == fan
    assert (await call(api, "GET", chat, limit=21))[0] == 400
    assert (await call(api, "POST", chat, {"text": "x", "price": 2}))[0] == 400
    truth = await api.get("/__admin/truth")
    assert truth["accounts"][0]["vendors"] == ["onlyfansapi", "onlymonster", "ofauth"]


async def test_subscribers_by_type(api: Api) -> None:
    first, second = [(await api.post("/__admin/fans/subscribe", account_id="acct_madison"))["fan_id"] for _ in range(2)]
    await api.post("/__admin/fans/renew", account_id="acct_madison", fan_id=first)
    await api.post("/__admin/fans/expire", account_id="acct_madison", fan_id=second)
    path = f"{ACCESS}/subscribers"

    async def ids(**params: Any) -> list[int]:
        return [user["id"] for user in (await read(api, path, **params))["list"]]

    assert await ids() == [first, second]
    assert await ids(type="active") == [first]
    assert await ids(type="expired") == [second]
    assert await ids(type="latest", latestType="renewals") == [first]
    assert await ids(type="latest", latestType="new") == [second, first]
    assert await ids(limit=1, offset=1) == [second]
    assert await ids(**{"filter[total_spent]": "15"}) == [first]
    for bad in ({"filter": "trial_id"}, {"filter.trial_id": 1}, {"filter[nope]": 1}, {"limit": 21}):
        assert (await call(api, "GET", path, **bad))[0] == 400
    assert await kinds(api) == ["bad_filter", "bad_filter", "bad_filter", "limit_over_max"]


async def test_bucket_of_a_connection(platform: Platform, api: Api, step: Callable[[float], None]) -> None:
    platform.world.settings.ofauth_burst = 5
    path = f"{LINKS}/tracking-links"
    answers = [await api.client.get(path, headers=KEYS) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert answers[0].headers["X-RateLimit-Limit"] == "60"
    assert [int(answer.headers["X-RateLimit-Remaining"]) for answer in answers] == [4, 3, 2, 1, 0, 0]
    reset = int(answers[5].headers["X-RateLimit-Reset"])
    assert reset >= int(platform.world.clock.now().timestamp())
    assert answers[5].json()["type"] == "RATE_LIMIT_EXCEEDED"
    other = await api.client.get(path, headers={**KEYS, "x-connection-id": "conn_freya"})
    assert other.status_code == 200
    step(2)
    assert [(await api.client.get(path, headers=KEYS)).status_code for _ in range(3)] == [200, 200, 429]


async def test_errors_in_both_generations(platform: Platform, api: Api) -> None:
    await api.post("/__admin/session", account_id="acct_madison", state="expired")
    path = f"{LINKS}/tracking-links"
    status, body = await call(api, "GET", path)
    assert (status, body["type"], body["actionRequired"]) == (401, "SESSION_EXPIRED", "refresh_session")
    assert body["requestId"].startswith("req_")
    await api.post("/__admin/settings", ofauth_errors="code")
    async with httpx.AsyncClient(base_url=platform.url, trust_env=False) as stranger:
        wrong = await stranger.get(path, headers={**KEYS, "apiKey": "nope"})
        none = await stranger.get(path, headers={"x-connection-id": "conn_madison"})
        unnamed = await stranger.get(path, headers={"apiKey": "ofauth-key"})
        unknown = await stranger.get(path, headers={**KEYS, "x-connection-id": "conn_x"})
        nothing = await stranger.get("/ofauth/v2/nothing", headers=KEYS)
    assert (wrong.status_code, wrong.json()["code"]) == (401, "AUTH_INVALID_KEY")
    assert "type" not in wrong.json()
    assert [answer.status_code for answer in (none, unnamed, unknown, nothing)] == [401, 401, 404, 404]
    assert await kinds(api) == ["wrong_api_key", "missing_api_key", "missing_connection", "unknown_path"]
    await api.post("/__admin/settings", ofauth_permissions=["promotions:read"])
    await api.post("/__admin/session", account_id="acct_madison", state="active")
    assert (await call(api, "POST", path, {"name": "x"}))[0] == 403
    assert (await api.get("/__admin/credits"))["used"] == 0


async def test_timed_out_create_has_made_the_link(api: Api) -> None:
    await api.post("/__admin/settings", create_timeout_mode="504")
    await api.post("/__admin/faults", create_timeout={"count": 1, "path": "/ofauth/"})
    answer = await api.client.post(f"{LINKS}/tracking-links", json={"name": "pool-9"}, headers=KEYS)
    assert answer.status_code == 504
    assert [row["name"] for row in (await read(api, f"{LINKS}/tracking-links"))["list"]] == ["pool-9"]


async def test_webhooks_in_the_documented_scheme(platform: Platform, api: Api, receiver: Receiver) -> None:
    hook = await api.post("/__admin/webhooks", vendor="ofauth", url=receiver.url)
    await api.post("/__admin/session", account_id="acct_madison", state="expired")
    await api.post("/__admin/session", account_id="acct_madison", state="active")
    await api.post("/__admin/accounts", username="new", id="acct_new")
    await api.post("/__admin/fans/subscribe", account_id="acct_madison")
    assert await platform.settled()
    types = [item.body["type"] for item in receiver.got]
    assert sorted(types) == ["connection.created", "connection.expired", "connection.updated"]
    assert types.index("connection.expired") < types.index("connection.updated")
    for item in receiver.got:
        at, _, v1 = item.headers["OFAuth-Signature"].removeprefix("t=").partition(",v1=")
        assert v1 == hmac.new(hook["secret"].encode(), f"{at}.".encode() + item.raw, hashlib.sha256).hexdigest()
    assert receiver.got[0].body["data"]["connection"] == {"id": "conn_madison", "status": "expired"}


async def test_webhooks_in_the_svix_scheme(platform: Platform, api: Api, receiver: Receiver) -> None:
    hook = await api.post("/__admin/webhooks", vendor="ofauth", url=receiver.url, scheme="svix")
    receiver.answers = [500]
    await api.post("/__admin/session", account_id="acct_madison", state="expired")
    await api.post("/__admin/session", account_id="acct_madison", state="active")
    assert await platform.settled()
    told = [item.body for item in receiver.got]
    assert [event["eventType"] for event in told] == ["connection.expired", "connection.expired", "connection.updated"]
    assert len({item.headers["svix-id"] for item in receiver.got}) == 2
    assert told[2]["data"]["connection"]["platformUserId"] == "518588958"
    key = base64.b64decode(hook["secret"].removeprefix("whsec_"))
    for item in receiver.got:
        signed = f"{item.headers['svix-id']}.{item.headers['svix-timestamp']}.".encode() + item.raw
        mac = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert item.headers["svix-signature"] == f"v1,{mac}"


async def test_an_accounts_webhooks_wait_for_each_other(platform: Platform, api: Api, receiver: Receiver) -> None:
    platform.world.settings.ofauth_retry_delays = (0.2, 0.2)
    await api.post("/__admin/webhooks", vendor="ofauth", url=receiver.url)
    receiver.answers = [500, 500, 500]
    await api.post("/__admin/session", account_id="acct_madison", state="expired")
    await api.post("/__admin/session", account_id="acct_madison", state="active")
    assert await platform.settled()
    assert [item.body["type"] for item in receiver.got] == ["connection.expired"] * 3 + ["connection.updated"]


async def test_a_reset_forgets_what_waited(platform: Platform, api: Api, receiver: Receiver) -> None:
    platform.world.settings.ofauth_retry_delays = (3600.0,)
    await api.post("/__admin/webhooks", vendor="ofauth", url=receiver.url)
    receiver.answers = [500]
    await api.post("/__admin/session", account_id="acct_madison", state="expired")
    assert await platform.world.scheduler.settled(within=0)
    await api.post("/__admin/reset", keep_webhooks=True)
    await api.post("/__admin/accounts", username="madison", id="acct_madison")
    assert await platform.settled()
    assert [item.body["type"] for item in receiver.got] == ["connection.expired", "connection.created"]


async def test_realtime_is_a_beta_to_switch_on(platform: Platform, api: Api, receiver: Receiver) -> None:
    await api.post("/__admin/webhooks", vendor="ofauth", url=receiver.url)
    fan = (await api.post("/__admin/fans/subscribe", account_id="acct_madison"))["fan_id"]
    for on in (False, True):
        await api.post("/__admin/settings", ofauth_realtime=on)
        await api.post("/__admin/fans/message", account_id="acct_madison", fan_id=fan, text="hey")
    assert await platform.settled()
    (told,) = receiver.got
    assert told.body["type"].startswith("realtime.")
    assert told.body["data"]["eventBody"]["fromUser"]["id"] == fan
