"""OnlyFansAPI webhooks, normalised: the live shapes and their traps."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.providers import shapes
from tracker.providers.onlyfansapi import money
from tracker.providers.onlyfansapi.client import decoder
from tracker.providers.onlyfansapi.webhooks import OnlyFansApiWebhooks, normalise
from tracker.providers.readings import Reading, Unintelligible

READER = OnlyFansApiWebhooks()


def read(event: str, payload: dict[str, Any], creator: str = shapes.CREATOR) -> Reading:
    """Through JSON, as it comes."""
    body = json.dumps({"event": event, "account_id": "acct_A1", "payload": payload}).encode()
    return READER.read(body, creator)


def jobs(reading: Reading) -> set[str]:
    """Jobs a reading wakes."""
    return {wake.job for wake in reading.wakes}


def test_subscription_fan_is_user_id_of_the_user_not_of_the_notification() -> None:
    for event in ("subscriptions.new", "subscriptions.renewed"):
        reading = read(
            event, shapes.subscribed(subType="returning_subscriber" if "renewed" in event else "new_subscriber")
        )
        (fact,) = reading.events
        assert fact.fan_id == shapes.FAN != shapes.CREATOR
        assert fact.event_key == "sub:115200000031"
        assert (fact.at, fact.precision_seconds) == (datetime(2026, 11, 22, 9, 40, tzinfo=UTC), 60)
        assert fact.detail["price_cents"] == 0
        assert (fact.username, fact.name) == ("u310112051", "Sam")
        assert "reconcile" in jobs(reading)
        assert not reading.rejected


def test_vendor_example_with_the_creator_as_user_is_not_believed() -> None:
    reading = read("subscriptions.new", shapes.subscribed(user={"id": int(shapes.CREATOR)}))
    assert reading.rejected
    assert not reading.events
    assert "creator" in reading.note
    assert "reconcile" in jobs(reading), "somebody subscribed: the lists will tell who"


def test_missing_user_is_read_from_the_profile_link_or_quarantined() -> None:
    payload = shapes.subscribed()
    del payload["user"]
    (fact,) = read("subscriptions.new", payload).events
    assert fact.fan_id == shapes.FAN
    payload["replacePairs"] = {"{SUBSCRIBER_LINK}": "<a href='https://onlyfans.com/samthefan'>Sam</a>"}
    payload["text"] = "somebody"
    reading = read("subscriptions.new", payload)
    assert reading.rejected
    assert not reading.events


@pytest.mark.parametrize(
    ("told", "cents"),
    [
        ("$0.00", 0),
        ("$9.99", 999),
        ("$1,234.50", 123450),
        ("9.9", 990),
        ("free", 0),
        ("", None),
        ("n/a", None),
        (None, None),
    ],
)
def test_price_is_read_leniently(told: str | None, cents: int | None) -> None:
    (fact,) = read("subscriptions.new", shapes.subscribed(replacePairs={"{PRICE}": told})).events
    assert fact.detail["price_cents"] == cents


def test_simplified_shape_with_a_number_as_price_and_a_time_with_seconds() -> None:
    (fact,) = read("subscriptions.new", shapes.subscribed(price=9.99, createdAt="2026-11-22T09:40:07Z")).events
    assert fact.detail["price_cents"] == 999
    assert fact.precision_seconds == 0


def test_transaction_has_a_time_without_zone_in_utc_and_exact_cents() -> None:
    (fact,) = read("transactions.new", shapes.transaction()).events
    assert (fact.at, fact.precision_seconds) == (datetime(2026, 11, 22, 9, 59, 47, tzinfo=UTC), 0)
    assert fact.event_key == "tx:e940b5fb905ba0815d5842a7bde1118c:loading"
    assert fact.fan_id == shapes.FAN
    assert fact.detail == {
        "transaction_id": "e940b5fb905ba0815d5842a7bde1118c",
        "type": "message",
        "gross_cents": 1700,
        "net_cents": 1360,
        "status": "loading",
        "description": "Payment for message from Sam",
        "username": "u310112051",
        "name": "Sam",
    }


def test_webhook_and_poll_tell_the_same_fact() -> None:
    (told,) = read("transactions.new", shapes.transaction()).events
    polled = money.read_transaction(decoder.decode(json.dumps(shapes.rest_transaction())))
    assert polled is not None
    assert polled.event() == told


def test_transaction_without_fan_is_read_from_its_description_or_quarantined() -> None:
    for gone in ({}, None, {"id": None}):
        (fact,) = read("transactions.new", shapes.transaction(fan=gone)).events
        assert fact.fan_id == shapes.FAN
    reading = read("transactions.new", shapes.transaction(fan=None, description="Payment from a deleted user"))
    assert reading.rejected
    assert not reading.events


@pytest.mark.parametrize("event", ["tips.received", "messages.ppv.unlocked"])
def test_money_notifications_are_signals_only(event: str) -> None:
    payload = shapes.tip() if event.startswith("tips") else shapes.unlocked()
    reading = read(event, payload)
    assert reading.events == ()
    assert jobs(reading) == {"transactions"}
    assert not reading.rejected


def test_message_fan_is_its_sender() -> None:
    (fact,) = read("messages.received", shapes.message(isTip=True)).events
    assert (fact.kind, fact.event_key, fact.fan_id) == ("message", "msg:7412345678901", shapes.FAN)
    assert fact.precision_seconds == 0
    assert fact.detail["is_tip"] is True
    assert "hey" not in json.dumps(fact.detail), "what fans write is not kept"
    assert read("messages.received", shapes.message(fromUser={"id": int(shapes.CREATOR)})).events == ()
    with pytest.raises(Unintelligible):
        read("messages.received", shapes.message(fromUser=None))


@pytest.mark.parametrize(
    ("event", "state"),
    [
        ("accounts.connected", "ok"),
        ("accounts.reconnected", "ok"),
        ("accounts.session_expired", "reconnecting"),
        ("accounts.authentication_failed", "dead"),
        ("accounts.otp_code_required", "dead"),
        ("accounts.disconnected", "dead"),
    ],
)
def test_session_events_carry_the_time_of_the_login_attempt(event: str, state: str) -> None:
    reading = read(event, shapes.session(completed="2026-11-22T20:27:10.000000Z"))
    assert reading.session is not None
    assert reading.session.state == state
    assert reading.session.at == datetime(2026, 11, 22, 20, 27, 10, tzinfo=UTC)
    assert bool(reading.session.message) == (state != "ok")
    assert jobs(reading) == ({"session", "pools", "reconcile", "transactions", "messages"} if state == "ok" else set())


@pytest.mark.parametrize("event", ["users.typing", "subscriptions.expired", "fansly.tips.received", "brand.new", ""])
def test_other_events_are_kept_and_ignored(event: str) -> None:
    reading = read(event, {"id": 1})
    assert (reading.events, reading.wakes, reading.rejected) == ((), (), False)


@pytest.mark.parametrize(
    ("name", "description", "ours"),
    [
        ("message", "", "message"),
        ("chat_messages", "", "message"),
        ("tips", "", "tip"),
        ("tip", "", "tip"),
        ("post", "", "post"),
        ("stream", "", "stream"),
        ("new_subscription", "", "new_subscription"),
        ("recurring_subscription", "", "recurring_subscription"),
        ("subs", "Subscription from Sam", "new_subscription"),
        ("subscribes", "Recurring subscription from Sam", "recurring_subscription"),
        ("something else", "", "other"),
    ],
)
def test_both_vocabularies_of_transaction_types(name: str, description: str, ours: str) -> None:
    assert money.transaction_type(name, description) == ours


@pytest.mark.parametrize(
    ("told", "ours"),
    [
        ("pending return", "pending_return"),
        ("pending_return", "pending_return"),
        ("UNDO", "undo"),
        ("done", "done"),
        (None, "loading"),
    ],
)
def test_statuses_are_normalised(told: str | None, ours: str) -> None:
    row = money.read_transaction(shapes.rest_transaction(status=told, amount=Decimal("17"), net=None, fee=None))
    assert row is not None
    assert (row.status, row.gross_cents, row.net_cents) == (ours, 1700, 1360)


def test_chargeback_is_its_transaction_taken_back() -> None:
    payment = {key: value for key, value in shapes.rest_transaction(status="done").items() if key != "type"}
    row = money.read_chargeback(
        {"id": 123, "createdAt": "2026-11-30T00:00:00Z", "paymentType": "card", "payment": payment}
    )
    assert row is not None
    assert (row.transaction_id, row.status, row.type) == (payment["id"], "undo", "")


SECRET = "whsec_x"
BODY = '{"event":"subscriptions.new","account_id":"acct_A1","payload":{"text":"Zo\\u00eb \\/ é"}}'.encode()
GOOD = hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("signature", "body", "secrets", "holds"),
    [
        (GOOD, BODY, [SECRET], True),
        (GOOD.upper(), BODY, [SECRET], True),
        (GOOD, BODY, ["newer", SECRET], True),
        (GOOD, BODY, ["newer"], False),
        (GOOD, BODY + b" ", [SECRET], False),
        (GOOD[:-1], BODY, [SECRET], False),
        ("", BODY, [SECRET], False),
        ("é" * 64, BODY, [SECRET], False),
        (GOOD, BODY, [], False),
        (hmac.new(b"", BODY, hashlib.sha256).hexdigest(), BODY, [""], False),
    ],
)
def test_signature_matrix(signature: str, body: bytes, secrets: list[str], holds: bool) -> None:
    assert READER.verified({"signature": signature}, body, secrets) is holds


def test_dedup_key_is_the_vendors_or_the_bodys() -> None:
    assert READER.dedup_key({"x-ofapi-idempotency-key": "evt_9c"}, BODY) == "evt_9c"
    assert READER.dedup_key({}, BODY) == "sha256:" + hashlib.sha256(BODY).hexdigest()
    assert READER.dedup_key({}, BODY) != READER.dedup_key({}, BODY + b" ")


ODD: list[Any] = [
    None, True, 0, -1, 5, 10**30, 1.5, float("nan"), "", "x\0y", "\ud800", "310112051", "2026-11-22T09:40:00Z", "9999-12-31T23:59:59Z",
    [], [1], {}, {"id": None}, {"id": "x"}, {"id": 310112051}, {"id": int(shapes.CREATOR)}, {"started_at": "x"},
]  # fmt: skip
FIELDS = ["id", "user", "fan", "fromUser", "createdAt", "created_at", "amount", "net_amount", "status", "type", "price"]
FIELDS += ["replacePairs", "latestAuthAttempt", "description"]


@given(
    event=st.sampled_from(
        ["subscriptions.new", "transactions.new", "messages.received", "tips.received", "accounts.reconnected"]
    ),
    changes=st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(ODD), max_size=4),
)
def test_nothing_a_payload_holds_breaks_the_reader(event: str, changes: dict[str, Any]) -> None:
    base = {"subscriptions.new": shapes.subscribed, "transactions.new": shapes.transaction}.get(event, shapes.message)
    try:
        reading = normalise(event, base(**changes), shapes.CREATOR)
    except Unintelligible:
        reading = Reading(rejected=True)
    for fact in reading.events:
        assert fact.fan_id.isdigit()
        assert fact.fan_id != shapes.CREATOR
        assert fact.at.tzinfo is not None
        assert "\\u0000" not in json.dumps(fact.detail)
