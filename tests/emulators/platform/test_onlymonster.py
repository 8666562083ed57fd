"""Onlymonster: link users, ranges, cursors, limits, prose types, webhooks (upstream spec 3, 6.3 rows 4, 8, 9, 16)."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from loadtests.emulators.platform import Platform

from .conftest import Api, Receiver

OWN = "/onlymonster/api/v0/accounts"
THEIRS = "/onlymonster/api/v0/platforms/onlyfans/accounts/518588958"
RANGE = {"start": "2020-01-01T00:00:00Z", "end": "2100-01-01T00:00:00Z"}
TOKEN = {"x-om-auth-token": "om-token"}


async def read(api: Api, path: str, **params: Any) -> Any:
    """GET with the right token that must succeed."""
    answer = await api.client.get(path, params=params or None, headers=TOKEN)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refused(api: Api, path: str, **params: Any) -> int:
    """The status of a GET with the right token."""
    return (await api.client.get(path, params=params or None, headers=TOKEN)).status_code


async def kinds(api: Api) -> list[str]:
    """Kinds of the violations so far."""
    return [item["kind"] for item in await api.get("/__admin/violations")]


async def link_with_fans(api: Api, count: int, kind: str = "tracking") -> tuple[dict[str, Any], list[int]]:
    """A link made by hand and `count` fans who came through it."""
    link = await api.post("/__admin/links", account_id="acct_madison", name="bio", kind=kind)
    fans = [(await api.post("/__admin/fans/subscribe", link_url=link["url"]))["fan_id"] for _ in range(count)]
    return link, fans


async def test_accounts_have_ids_of_their_own_and_a_cursor_only_if_more(platform: Platform, api: Api) -> None:
    platform.world.add_account("elsewhere", vendors=("ofauth",))
    first = await read(api, OWN, limit=1)
    (row,) = first["accounts"]
    assert (row["platform_account_id"], row["username"], row["subscribe_price"]) == ("518588958", "madison", 9.99)
    assert isinstance(row["id"], int)
    second = await read(api, OWN, limit=1, cursor=first["nextCursor"])
    assert [account["username"] for account in second["accounts"]] == ["freya"]
    assert "nextCursor" not in second
    assert (await read(api, f"{OWN}/{row['id']}"))["account"] == row
    assert await refused(api, f"{OWN}/1") == 404


@pytest.mark.parametrize(("kind", "counter"), [("tracking", "subscribers"), ("trial", "claims")])
async def test_links_and_their_users(api: Api, kind: str, counter: str) -> None:
    link, fans = await link_with_fans(api, 2, kind)
    (row,) = (await read(api, f"{THEIRS}/{kind}-links", **RANGE))["items"]
    assert (row["id"], row["name"], row["url"]) == (str(link["id"]), "bio", link["url"])
    assert (row[counter], row["clicks"], row["is_active"]) == (2, 2, True)
    users = await read(api, f"{THEIRS}/{kind}-link-users", link_id=row["id"])
    assert {user["fan"]["id"] for user in users["items"]} == {str(fan) for fan in fans}
    assert {user["link_id"] for user in users["items"]} == {row["id"]}
    assert "cursor" not in users
    other = "trial" if kind == "tracking" else "tracking"
    assert (await read(api, f"{THEIRS}/{other}-link-users"))["items"] == []


async def test_collection_lags_behind_the_subscription(platform: Platform, api: Api) -> None:
    platform.world.settings.update({"onlymonster_collect_delay": (600, 600), "listing_delay": (30, 30)})
    await link_with_fans(api, 1)
    path = f"{THEIRS}/tracking-link-users"
    assert (await read(api, path))["items"] == []
    await api.post("/__admin/clock/advance", seconds=631)
    (user,) = (await read(api, path))["items"]
    subscribed, collected = (datetime.fromisoformat(user[key]) for key in ("subscribed_at", "collected_at"))
    assert timedelta(seconds=629) < collected - subscribed < timedelta(seconds=640)
    assert user["collected_at"].endswith("Z")
    after = (collected + timedelta(seconds=1)).isoformat().replace("+00:00", "Z")
    assert (await read(api, path, collected_from=after))["items"] == []
    assert len((await read(api, path, collected_to=after))["items"]) == 1


async def test_nothing_is_collected_while_the_session_is_dead(api: Api) -> None:
    await api.post("/__admin/session", account_id="acct_madison", state="expired")
    await link_with_fans(api, 1)
    path = f"{THEIRS}/tracking-link-users"
    assert (await read(api, path))["items"] == []
    await api.post("/__admin/clock/advance", seconds=7200)
    await api.post("/__admin/session", account_id="acct_madison", state="active")
    (user,) = (await read(api, path))["items"]
    lag = datetime.fromisoformat(user["collected_at"]) - datetime.fromisoformat(user["subscribed_at"])
    assert lag >= timedelta(seconds=7199)


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_cursors_survive_rows_inserted_between_pages(platform: Platform, api: Api, order: str) -> None:
    platform.world.settings.update({"onlymonster_order": order, "onlymonster_endpoint_rate": None})
    link, fans = await link_with_fans(api, 5)
    seen: list[str] = []
    params: dict[str, Any] = {"limit": 2}
    while True:
        answer = await read(api, f"{THEIRS}/tracking-link-users", **params)
        seen += [user["fan"]["id"] for user in answer["items"]]
        if "cursor" not in answer:
            break
        params["cursor"] = answer["cursor"]
        if len(seen) == 2:
            await api.post("/__admin/fans/subscribe", link_url=link["url"])
    assert len(seen) == len(set(seen)) == (6 if order == "asc" else 5)
    assert set(seen) >= {str(fan) for fan in fans}


async def test_cursors_are_signed_and_belong_to_their_feed(api: Api) -> None:
    await link_with_fans(api, 3)
    path = f"{THEIRS}/tracking-link-users"
    cursor = (await read(api, path, limit=1))["cursor"]
    assert await refused(api, path, limit=1, cursor=cursor[:-4] + "AAA=") == 400
    assert await refused(api, f"{THEIRS}/trial-link-users", limit=1, cursor=cursor) == 400
    assert await refused(api, path, limit=1, cursor="not base64!") == 400
    assert await kinds(api) == ["bad_cursor"] * 3


async def test_prose_types_and_statuses(api: Api) -> None:
    fan = (await api.post("/__admin/fans/subscribe", account_id="acct_madison"))["fan_id"]
    act = {"account_id": "acct_madison", "fan_id": fan}
    tip = await api.post("/__admin/fans/tip", **act, amount=5)
    await api.post("/__admin/fans/ppv", **act, amount=12.5)
    await api.post("/__admin/fans/renew", **act)
    for kind in ("post", "stream", "other"):
        await api.post("/__admin/fans/pay", **act, type=kind, amount=1)
    await api.post("/__admin/fans/chargeback", transaction_id=tip["transaction_id"], pending_seconds=3600)
    rows = {row["type"]: row for row in (await read(api, f"{THEIRS}/transactions", **RANGE))["items"]}
    assert set(rows) == {
        "new subscription", "recurring subscription", "tip", "message payment", "post purchase", "live stream",
        "unknown",
    }  # fmt: skip
    assert rows["tip"]["status"] == "pending return"
    assert rows["message payment"]["status"] == "loading"
    assert (rows["message payment"]["amount"], rows["message payment"]["fan"]) == (12.5, {"id": str(fan)})
    await api.post("/__admin/clock/advance", seconds=7 * 86_400)
    rows = {row["type"]: row for row in (await read(api, f"{THEIRS}/transactions", **RANGE))["items"]}
    assert (rows["tip"]["status"], rows["unknown"]["status"]) == ("undo", "done")
    (back,) = (await read(api, f"{THEIRS}/chargebacks", **RANGE))["items"]
    assert (back["id"], back["status"], back["type"]) == (tip["transaction_id"], "undo", "tip")
    assert back["transaction_timestamp"] == rows["tip"]["timestamp"]
    await api.post("/__admin/settings", onlymonster_amount="net", onlymonster_chargeback_id="own")
    (back,) = (await read(api, f"{THEIRS}/chargebacks", **RANGE))["items"]
    assert back["amount"] == 4
    assert back["id"] != tip["transaction_id"]


@pytest.mark.parametrize(
    ("path", "params", "kind"),
    [
        ("transactions", {}, "missing_parameter"),
        ("tracking-links", {"start": RANGE["start"]}, "missing_parameter"),
        ("trial-links", {**RANGE, "limit": 9}, "limit_under_min"),
        ("chargebacks", {**RANGE, "limit": 1001}, "limit_over_max"),
        ("tracking-link-users", {"limit": 751}, "limit_over_max"),
        ("tracking-link-users", {"collected_from": "2026-01-01 00:00:00"}, "bad_parameter"),
        ("transactions", {"start": "2026-01-01T00:00:00", "end": RANGE["end"]}, "bad_parameter"),
    ],
)
async def test_contract_breaches_are_answered_and_kept(api: Api, path: str, params: Any, kind: str) -> None:
    assert await refused(api, f"{THEIRS}/{path}", **params) == 400
    assert await kinds(api) == [kind]


async def test_token_platform_and_paths(platform: Platform, api: Api) -> None:
    assert (await api.client.get(OWN)).status_code == 401
    assert (await api.client.get(OWN, headers={"x-om-auth-token": "nope"})).status_code == 401
    assert await refused(api, "/onlymonster/api/v0/platforms/fansly/accounts/1/transactions", **RANGE) == 400
    assert await refused(api, "/onlymonster/api/v0/nothing") == 404
    assert await kinds(api) == ["missing_token", "wrong_token", "bad_parameter", "unknown_path"]
    assert (await api.get("/__admin/credits"))["used"] == 0
    assert platform.world.ledger.by_route()["GET /onlymonster/api/v0/accounts"] == {"calls": 2, "credits": 0}


async def statuses(client: httpx.AsyncClient, paths: list[str]) -> list[int]:
    """Statuses of GETs one after the other."""
    return [(await client.get(path, headers=TOKEN)).status_code for path in paths]


async def test_limits_per_token_endpoint_and_slow_endpoint(api: Api, step: Callable[[float], None]) -> None:
    account = (await read(api, OWN))["accounts"][0]["id"]
    step(2)
    assert await statuses(api.client, [OWN] * 17) == [200] * 15 + [429] * 2
    step(2)
    users = [f"{THEIRS}/tracking-link-users"] * 12
    assert await statuses(api.client, [OWN] * 14 + users) == [200] * 25 + [429]
    step(2)
    assert await statuses(api.client, [f"{OWN}/{account}/fans"] * 2) == [200, 429]
    limited = await api.client.get(f"{OWN}/{account}/fans", headers=TOKEN)
    assert limited.text == "Rate limit exceeded"
    assert limited.headers["Content-Type"].startswith("text/plain")
    await api.post("/__admin/settings", onlymonster_429="json")
    limited = await api.client.get(f"{OWN}/{account}/fans", headers=TOKEN)
    assert limited.json() == {"message": "Rate limit exceeded"}
    step(0.9)
    assert await statuses(api.client, [f"{OWN}/{account}/fans"]) == [429]
    step(0.2)
    assert await statuses(api.client, [f"{OWN}/{account}/fans"]) == [200]


async def test_chats(platform: Platform, api: Api, receiver: Receiver) -> None:
    platform.world.settings.onlymonster_slow_rate = None
    await api.post("/__admin/webhooks", vendor="onlymonster", url=receiver.url, events=["chat.message_sent"])
    fan = (await api.post("/__admin/fans/subscribe", account_id="acct_madison"))["fan_id"]
    for number in range(3):
        await api.post("/__admin/fans/message", account_id="acct_madison", fan_id=fan, text=f"m{number}")
    account = platform.world.account("acct_madison").onlymonster_id
    path = f"{OWN}/{account}/chats/{fan}/messages"
    sent = await api.client.post(path, json={"text": "hello"}, headers=TOKEN)
    assert sent.status_code == 202
    first = await read(api, path, limit=2)
    assert [row["text"] for row in first["items"]] == ["hello", "m2"]
    assert [row["is_sent_by_me"] for row in first["items"]] == [True, False]
    assert first["has_more"] is True
    second = await read(api, path, limit=2, message_id=first["items"][-1]["id"])
    assert ([row["text"] for row in second["items"]], second["has_more"]) == (["m1", "m0"], False)
    assert await read(api, f"{OWN}/{account}/fans") == {"fan_ids": [str(fan)]}
    bad = await api.client.post(path, json={"text": "pay me by PayPal"}, headers=TOKEN)
    assert (bad.status_code, bad.json()["code"]) == (400, "RESTRICTED_WORDS_DETECTED")
    assert bad.json()["details"] == {"words": ["paypal"], "topics": []}
    assert await platform.settled()
    (told,) = receiver.got
    assert told.body["payload"]["send_id"] == sent.json()["send_id"]


async def test_a_message_that_cannot_be_sent_is_told_by_webhook(
    platform: Platform, api: Api, receiver: Receiver
) -> None:
    await api.post("/__admin/webhooks", vendor="onlymonster", url=receiver.url)
    fan = (await api.post("/__admin/fans/subscribe", account_id="acct_freya"))["fan_id"]
    await api.post("/__admin/session", account_id="acct_freya", state="expired")
    account = platform.world.account("acct_freya").onlymonster_id
    sent = await api.client.post(f"{OWN}/{account}/chats/{fan}/messages", json={"text": "hello"}, headers=TOKEN)
    assert await platform.settled()
    assert sent.status_code == 202
    assert receiver.got[-1].body["type"] == "chat.message_error"
    assert receiver.got[-1].body["payload"]["send_id"] == sent.json()["send_id"]


async def test_webhooks_are_signed_over_their_timestamp(platform: Platform, api: Api, receiver: Receiver) -> None:
    hook = await api.post("/__admin/webhooks", vendor="onlymonster", url=receiver.url, secret="dashboard secret")
    receiver.answers = [500]
    fan = (await api.post("/__admin/fans/subscribe", account_id="acct_freya"))["fan_id"]
    assert await platform.settled()
    first, again = receiver.got
    assert first.raw == again.raw
    assert first.headers["x-om-webhook-id"] != again.headers["x-om-webhook-id"]
    for item in receiver.got:
        signed = item.headers["x-om-webhook-timestamp"].encode() + b"." + item.raw
        wanted = hmac.new(hook["secret"].encode(), signed, hashlib.sha256).hexdigest()
        assert item.headers["x-om-webhook-signature"] == wanted
    assert first.body["type"] == "fans.subscription.new_subscriber"
    assert first.body["payload"] == {
        "account": {
            "account_id": platform.world.account("acct_freya").onlymonster_id,
            "platform_account_id": str(platform.world.account("acct_freya").onlyfans_id),
        },
        "fan_id": str(fan),
    }


async def test_webhook_types_and_faults(platform: Platform, api: Api, receiver: Receiver) -> None:
    await api.post("/__admin/webhooks", vendor="onlymonster", url=receiver.url)
    fan = (await api.post("/__admin/fans/subscribe", account_id="acct_freya"))["fan_id"]
    act = {"account_id": "acct_freya", "fan_id": fan}
    await api.post("/__admin/faults", missing_signature={"count": 1, "path": "fans.tip.received"})
    await api.post("/__admin/fans/tip", **act, amount=5)
    await api.post("/__admin/fans/ppv", **act, amount=9)
    await api.post("/__admin/fans/message", **act, text="hi")
    assert await platform.settled()
    told = {item.body["type"]: item for item in receiver.got}
    assert set(told) == {
        "fans.subscription.new_subscriber", "fans.tip.received", "fans.ppv.purchased", "chat.message",
    }  # fmt: skip
    assert "x-om-webhook-signature" not in told["fans.tip.received"].headers
    assert told["fans.tip.received"].body["payload"]["fan_id"] == str(fan)
    message = told["chat.message"].body["payload"]["message"]
    assert message["from_id"] == message["fan_id"] == fan
    assert "amount" not in json.dumps([item.body for item in receiver.got])


async def test_a_new_webhook_takes_a_while(platform: Platform, api: Api, receiver: Receiver) -> None:
    platform.world.settings.onlymonster_webhook_wait = 60
    await api.post("/__admin/webhooks", vendor="onlymonster", url=receiver.url)
    await api.post("/__admin/fans/subscribe", account_id="acct_freya")
    await api.post("/__admin/clock/advance", seconds=61)
    late = await api.post("/__admin/fans/subscribe", account_id="acct_freya")
    assert await platform.settled()
    assert [item.body["payload"]["fan_id"] for item in receiver.got] == [str(late["fan_id"])]


async def test_a_plus_in_a_zone_must_be_quoted(api: Api) -> None:
    start = "2026-01-01T00:00:00+00:00"
    path = f"{THEIRS}/transactions?end={quote(RANGE['end'])}&start="
    assert await refused(api, path + quote(start)) == 200
    assert await refused(api, path + start) == 400
