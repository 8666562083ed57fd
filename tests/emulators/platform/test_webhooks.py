"""Webhook shapes and the delivery engine (upstream spec 1.7, 1.8, 6.3 rows 9 to 15)."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from datetime import UTC, datetime
from typing import Any

from loadtests.emulators.platform import Platform, running_platform

from .conftest import SECRET, Api, Receiver

EVENTS = [
    "subscriptions.new", "subscriptions.renewed", "subscriptions.expired", "transactions.new", "tips.received",
    "messages.received", "messages.ppv.unlocked", "accounts.session_expired", "accounts.reconnected", "users.typing",
]  # fmt: skip


async def register(api: Api, receiver: Receiver, **changes: Any) -> str:
    """Register the receiver for everything; the webhook's id."""
    body = {"endpoint_url": receiver.url, "signing_secret": SECRET, "events": EVENTS, "account_scope": "global"}
    return str((await api.post("/api/webhooks", **{**body, **changes}))["data"]["id"])


async def test_subscription_webhook_is_the_live_shape(platform: Platform, api: Api, receiver: Receiver) -> None:
    await register(api, receiver)
    act = await api.post("/__admin/fans/subscribe", account_id="acct_madison", at="2024-05-22T09:40:23.5+00:00")
    assert await platform.settled()
    (new,) = receiver.of("subscriptions.new")
    payload = new.payload
    assert payload["user_id"] == "518588958"
    assert payload["user"]["id"] == act["fan_id"]
    assert payload["id"].isdigit()
    assert payload["createdAt"] == "2024-05-22T09:40:00+00:00"
    assert payload["user"]["subscribedOnData"] is None
    assert payload["replacePairs"]["{PRICE}"] == "$9.99"
    assert "link" not in json.dumps(payload).lower().replace("subscriber_link", "")
    (money,) = receiver.of("transactions.new")
    assert money.payload["created_at"] == "2024-05-22 09:40:23"
    assert money.payload["fan"]["id"] == str(act["fan_id"])
    assert (money.payload["amount"], money.payload["net_amount"], money.payload["fee_amount"]) == (9.99, 7.99, 2)
    assert money.payload["type"] == "new_subscription"
    assert money.payload["id"] == act["transaction_id"]


async def test_signature_covers_the_exact_bytes(platform: Platform, api: Api, receiver: Receiver) -> None:
    await register(api, receiver)
    await api.post("/__admin/fans/subscribe", account_id="acct_freya")
    assert await platform.settled()
    (new,) = receiver.got
    assert new.headers["Signature"] == hmac.new(SECRET.encode(), new.raw, hashlib.sha256).hexdigest()
    assert re.fullmatch(r"evt_[0-9a-f]{40}", new.key or "")
    assert new.headers["User-Agent"] == "OnlyFansAPI.com/Webhook-Client"
    assert json.dumps(new.body, separators=(",", ":")).encode() != new.raw


async def test_no_secret_no_signature_and_no_key_on_ephemeral_events(
    platform: Platform, api: Api, receiver: Receiver
) -> None:
    await register(api, receiver, signing_secret=None)
    await api.post("/__admin/notify", event="users.typing", account_id="acct_madison", payload={"id": 1})
    assert await platform.settled()
    (typing,) = receiver.got
    assert "Signature" not in typing.headers
    assert typing.key is None


async def test_tip_and_ppv_arrive_twice_in_different_spellings(
    platform: Platform, api: Api, receiver: Receiver
) -> None:
    await register(api, receiver)
    fan = (await api.post("/__admin/fans/subscribe", account_id="acct_freya"))["fan_id"]
    await api.post("/__admin/fans/tip", account_id="acct_freya", fan_id=fan, amount=8, source="chat")
    await api.post("/__admin/fans/ppv", account_id="acct_freya", fan_id=fan, amount=12)
    assert await platform.settled()
    (tip,) = receiver.of("tips.received")
    assert (tip.payload["amountGross"], tip.payload["amountNet"]) == (8, 6.4)
    (ppv,) = receiver.of("messages.ppv.unlocked")
    assert f"/my/chats/chat/{fan}?firstId=" in ppv.payload["text"]
    assert [item.payload["type"] for item in receiver.of("transactions.new")] == ["tip", "message"]
    assert receiver.of("transactions.new")[0].payload["tips_source"] == "chat"
    (note,) = receiver.of("messages.received")
    assert (note.payload["isTip"], note.payload["tipAmount"], note.payload["fromUser"]["id"]) == (True, 8, fan)


async def test_ppv_user_can_be_missing(platform: Platform, api: Api, receiver: Receiver) -> None:
    await register(api, receiver)
    await api.post("/__admin/settings", ppv_user_missing_rate=1.0)
    fan = platform.world.fans.person().id
    await api.post("/__admin/fans/ppv", account_id="acct_madison", fan_id=fan, amount=12)
    assert await platform.settled()
    assert "user" not in receiver.of("messages.ppv.unlocked")[0].payload


async def test_trial_claim_has_no_transaction(platform: Platform, api: Api, receiver: Receiver) -> None:
    await register(api, receiver)
    link = await api.post("/api/acct_madison/trial-links", name="t", duration=7, offerLimit=10, offerExpiration=0)
    await api.post("/__admin/fans/subscribe", link_url=link["data"]["url"])
    assert await platform.settled()
    assert [item.event for item in receiver.got] == ["subscriptions.new"]
    assert receiver.got[0].payload["replacePairs"]["{PRICE}"] == "$0.00"


async def test_returning_and_renewing_fans_are_renewed(platform: Platform, api: Api, receiver: Receiver) -> None:
    await register(api, receiver)
    fan = (await api.post("/__admin/fans/subscribe", account_id="acct_madison"))["fan_id"]
    again = await api.post("/__admin/fans/subscribe", account_id="acct_madison", fan_id=fan)
    assert (again["subscribed"], again["transaction_id"]) == (False, None)
    await api.post("/__admin/fans/expire", account_id="acct_madison", fan_id=fan)
    back = await api.post("/__admin/fans/subscribe", account_id="acct_madison", fan_id=fan)
    assert (back["subscribed"], back["returning"]) == (True, True)
    await api.post("/__admin/fans/renew", account_id="acct_madison", fan_id=fan)
    assert await platform.settled()
    kinds = [item.event for item in receiver.got if item.event.startswith("subscriptions")]
    assert kinds == ["subscriptions.new", "subscriptions.expired", "subscriptions.renewed", "subscriptions.renewed"]
    assert receiver.of("subscriptions.expired")[0].payload["user"] == {"id": fan}
    kinds = [item.payload["type"] for item in receiver.of("transactions.new")]
    assert kinds == ["new_subscription", "new_subscription", "recurring_subscription"]


async def test_failed_delivery_is_tried_three_times_under_one_key(
    platform: Platform, api: Api, receiver: Receiver
) -> None:
    hook = await register(api, receiver)
    receiver.answers = [500, 302]
    await api.post("/__admin/fans/subscribe", account_id="acct_freya")
    assert await platform.settled()
    assert len(receiver.got) == 3
    assert len({item.key for item in receiver.got}) == 1
    rows = (await api.get(f"/api/webhooks/{hook}/deliveries"))["data"]
    assert [(row["attempt"], row["status_code"], row["succeeded"]) for row in rows] == [
        (3, 200, True), (2, 302, False), (1, 500, False),
    ]  # fmt: skip
    assert len({row["delivery_uuid"] for row in rows}) == 1
    assert (await api.get(f"/api/webhooks/{hook}/deliveries", succeeded="true"))["data"] == rows[:1]


async def test_endpoint_pauses_after_twenty_lost_and_probes_after_the_cooldown(
    platform: Platform, api: Api, receiver: Receiver
) -> None:
    hook = await register(api, receiver)
    receiver.always = 503
    for _ in range(20):
        await api.post("/__admin/fans/subscribe", account_id="acct_freya")
    assert await platform.settled()
    assert len(receiver.got) == 60
    state = (await api.get("/__admin/deliveries"))["webhooks"][0]
    assert (state["paused"], state["lost_in_row"]) == (True, 20)
    row = (await api.get(f"/api/webhooks/{hook}/deliveries"))["data"][0]
    status, _ = await api.call("POST", f"/api/webhooks/{hook}/deliveries/{row['id']}/redeliver")
    assert status == 409
    await api.post("/__admin/fans/subscribe", account_id="acct_freya")
    assert await platform.settled()
    assert len(receiver.got) == 60
    await api.post("/__admin/clock/advance", seconds=301)
    await api.post("/__admin/fans/subscribe", account_id="acct_freya")
    assert await platform.settled()
    assert len(receiver.got) == 61
    await api.post("/__admin/clock/advance", seconds=301)
    assert (await api.get("/__admin/deliveries"))["webhooks"][0]["paused"] is True
    await api.post("/__admin/clock/advance", seconds=300)
    receiver.always = 200
    await api.post("/__admin/fans/subscribe", account_id="acct_freya")
    assert await platform.settled()
    state = (await api.get("/__admin/deliveries"))["webhooks"][0]
    assert (state["paused"], state["lost_in_row"], state["dropped"]) == (False, 0, 1)


async def test_redelivery_keeps_the_key_and_names_its_origin(platform: Platform, api: Api, receiver: Receiver) -> None:
    hook = await register(api, receiver)
    await api.post("/__admin/fans/subscribe", account_id="acct_freya")
    assert await platform.settled()
    row = (await api.get(f"/api/webhooks/{hook}/deliveries"))["data"][0]
    await api.post(f"/api/webhooks/{hook}/deliveries/{row['id']}/redeliver")
    assert await platform.settled()
    first, second = receiver.got
    assert first.key == second.key
    assert second.headers["X-OFAPI-Redelivery-Of"] == str(row["id"])
    assert first.raw == second.raw


async def test_duplicates_repeat_the_key_or_the_notification(platform: Platform, api: Api, receiver: Receiver) -> None:
    await register(api, receiver)
    await api.post("/__admin/settings", duplicate_rate=1.0)
    await api.post("/__admin/fans/subscribe", account_id="acct_freya")
    assert await platform.settled()
    assert len(receiver.got) == 2
    assert receiver.got[0].key == receiver.got[1].key
    await api.post("/__admin/settings", duplicate_rate=0.0, duplicate_new_key_rate=1.0)
    receiver.got.clear()
    await api.post("/__admin/fans/subscribe", account_id="acct_freya")
    assert await platform.settled()
    assert len({item.key for item in receiver.got}) == 2
    assert len({item.payload["id"] for item in receiver.got}) == 1


async def test_signature_faults_and_rotation(platform: Platform, api: Api, receiver: Receiver) -> None:
    hook = await register(api, receiver)
    await api.post("/__admin/faults", wrong_signature=1, altered_body=1, missing_signature=1)
    receiver.answers = [401, 401]
    await api.post("/__admin/fans/subscribe", account_id="acct_freya")
    assert await platform.settled()
    valid = [
        item.headers.get("Signature") == hmac.new(SECRET.encode(), item.raw, hashlib.sha256).hexdigest()
        for item in receiver.got
    ]
    assert valid == [False, False, False]
    assert await api.get("/__admin/faults") == {}
    body = {"endpoint_url": receiver.url, "events": EVENTS, "account_scope": "global", "signing_secret": "second"}
    assert (await api.call("PUT", f"/api/webhooks/{hook}", body))[0] == 200
    await api.post("/__admin/fans/subscribe", account_id="acct_freya")
    assert await platform.settled()
    last = receiver.got[-1]
    assert last.headers["Signature"] == hmac.new(b"second", last.raw, hashlib.sha256).hexdigest()


async def test_delay_passes_on_the_virtual_clock(platform: Platform, api: Api, receiver: Receiver) -> None:
    await register(api, receiver)
    platform.world.settings.update({"webhook_delay": {"subscriptions": [30, 180], "transactions": [5, 10]}})
    await api.post("/__admin/fans/subscribe", account_id="acct_madison")
    assert await platform.settled(timeout=1, within=4)
    assert receiver.got == []
    await api.post("/__admin/clock/advance", seconds=11)
    assert (await api.post("/__admin/settle", within=0))["settled"] is True
    assert [item.event for item in receiver.got] == ["transactions.new"]
    await api.post("/__admin/clock/advance", seconds=180)
    assert await platform.settled()
    assert [item.event for item in receiver.got] == ["transactions.new", "subscriptions.new"]


async def test_scope_limits_accounts(platform: Platform, api: Api, receiver: Receiver) -> None:
    hook = await register(api, receiver, account_scope="inclusive", account_ids=["acct_freya"])
    await api.post("/__admin/fans/subscribe", account_id="acct_madison")
    await api.post("/__admin/fans/subscribe", account_id="acct_freya")
    assert await platform.settled()
    assert [item.body["account_id"] for item in receiver.got] == ["acct_freya"]
    assert (await api.call("DELETE", f"/api/webhooks/{hook}"))[0] == 204
    await api.post("/__admin/fans/subscribe", account_id="acct_freya")
    assert await platform.settled()
    assert len(receiver.got) == 1


async def test_slow_handler_is_a_violation(platform: Platform, api: Api, receiver: Receiver) -> None:
    await register(api, receiver)
    platform.world.settings.webhook_slow = 0.02
    receiver.delay = 0.05
    await api.post("/__admin/fans/subscribe", account_id="acct_freya")
    assert await platform.settled()
    assert [item["kind"] for item in await api.get("/__admin/violations")] == ["slow_webhook_handler"]


async def test_lost_notifications_are_found_in_truth_and_lists_only(
    platform: Platform, api: Api, receiver: Receiver
) -> None:
    await register(api, receiver)
    await api.post("/__admin/faults", lost_webhook={"count": 1, "path": "subscriptions.new"})
    act = await api.post("/__admin/fans/subscribe", account_id="acct_freya")
    assert await platform.settled()
    assert receiver.got == []
    (latest,) = (await api.get("/api/acct_freya/fans/latest", type="new"))["data"]["users"]
    assert latest["id"] == act["fan_id"]
    since = datetime.fromisoformat(latest["subscribedOnData"]["subscribeAt"])
    assert abs((datetime.now(UTC) - since).total_seconds()) < 5


async def test_a_burst_of_failures_pauses_once_and_one_probe_decides(receiver: Receiver) -> None:
    async with running_platform(seed=7, webhook_concurrency=64, retry_delays=(0.01, 0.02)) as platform:
        world = platform.world
        freya = world.add_account("freya", subscribe_price=0)
        hook = platform.webhooks.register(receiver.url, EVENTS)
        receiver.always = 500
        for _ in range(200):
            world.fans.subscribe(freya, world.fans.person())
        assert await platform.settled()
        assert hook.pause_seconds == 300
        receiver.got.clear()
        world.clock.advance(301)
        for _ in range(10):
            world.fans.subscribe(freya, world.fans.person())
        assert await platform.settled()
        assert len(receiver.got) == 1
        assert hook.pause_seconds == 600


async def test_other_payments_are_told_by_the_money_feed_alone(
    platform: Platform, api: Api, receiver: Receiver
) -> None:
    await register(api, receiver)
    fan = platform.world.fans.person().id
    body = {"account_id": "acct_madison", "fan_id": fan, "amount": 25}
    for kind in ("post", "stream", "other"):
        await api.post("/__admin/fans/pay", **body, type=kind)
    assert (await api.call("POST", "/__admin/fans/pay", {**body, "type": "gift"}))[0] == 422
    platform.world.settings.transaction_fan_missing_rate = 1.0
    await api.post("/__admin/fans/pay", **body, type="post")
    assert await platform.settled()
    assert [item.payload["type"] for item in receiver.got] == ["post", "stream", "other", "post"]
    assert ["fan" in item.payload for item in receiver.got] == [True, True, True, False]
