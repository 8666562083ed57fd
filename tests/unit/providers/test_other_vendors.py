"""What Onlymonster, OFAuth and Fansly say, read leniently: signatures, rows, units; rubbish breaks nothing."""

from __future__ import annotations

import base64
import contextlib
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.providers.events import PlatformEvent
from tracker.providers.fansly import rows as fansly
from tracker.providers.ofauth import webhooks as ofauth
from tracker.providers.ofauth.client import classify as ofauth_error
from tracker.providers.onlymonster import rows as onlymonster
from tracker.providers.onlymonster.client import classify as onlymonster_error
from tracker.providers.onlymonster.webhooks import OnlymonsterWebhooks, sign
from tracker.providers.readings import Unintelligible
from tracker.providers.registry import WEBHOOKS

BODY = b'{"type":"chat.message","payload":{}}'
NOW = 1_795_340_400


def test_onlymonster_signs_time_and_body() -> None:
    reader = OnlymonsterWebhooks()
    time = "2026-11-22T09:41:22.000Z"
    headers = {"x-om-webhook-timestamp": time, "x-om-webhook-signature": sign("new", time, BODY).upper()}
    assert reader.verified(headers, BODY, ["old", "new"])
    assert not reader.verified(headers, BODY + b" ", ["new"])
    assert not reader.verified({**headers, "x-om-webhook-timestamp": time.replace("22Z", "23Z")}, BODY, ["old"])
    assert not reader.verified({}, BODY, ["new"])
    first, second = ({**headers, "x-om-webhook-id": name} for name in ("a", "b"))
    assert reader.dedup_key(first, BODY) == reader.dedup_key(second, BODY), "its id changes with every attempt"


def test_ofauth_takes_both_schemes_and_no_old_signature() -> None:
    secret = "whsec_" + base64.b64encode(b"key").decode()
    mac = ofauth.mac(secret, str(NOW), BODY)
    svix = {
        "svix-id": "msg_1",
        "svix-timestamp": str(NOW),
        "svix-signature": "v1,x v1," + base64.b64encode(ofauth.svix_mac(secret, "msg_1", str(NOW), BODY)).decode(),
    }
    shapes = [
        {"ofauth-signature": f"t={NOW},v1={mac.hex()}"},
        {"ofauth-signature": f"t={NOW}, v1={base64.b64encode(mac).decode()}"},
        svix,
    ]
    for headers in shapes:
        assert ofauth.OFAuthWebhooks(lambda: NOW + 299.0).verified(headers, BODY, ["other", secret])
        assert not ofauth.OFAuthWebhooks(lambda: NOW + 301.0).verified(headers, BODY, [secret])
        assert not ofauth.OFAuthWebhooks(lambda: NOW).verified(headers, BODY + b" ", [secret])
        assert not ofauth.OFAuthWebhooks(lambda: NOW).verified(headers, BODY, ["other"])
    for text in ("", "t=²,v1=x", f"t={NOW}", f"t={'9' * 40},v1={mac.hex()}"):
        assert not ofauth.OFAuthWebhooks(lambda: NOW).verified({"ofauth-signature": text}, BODY, [secret])


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind", "wait"),
    [
        (401, {}, {"error": "x", "type": "SESSION_EXPIRED", "actionRequired": "refresh_session"}, "session", None),
        (401, {}, {"error": "x", "code": "SESSION_EXPIRED", "details": {}}, "session", None),
        (401, {}, {"error": "x", "code": "AUTH_INVALID_KEY", "details": {}}, "auth", None),
        (429, {"x-ratelimit-reset": str(NOW + 7)}, {"error": "x", "type": "RATE_LIMIT_EXCEEDED"}, "throttled", 7),
        (429, {"x-ratelimit-reset": "12"}, {}, "throttled", 12),
        (403, {}, {"error": "Missing permission", "type": "FORBIDDEN"}, "permanent", None),
        (502, {}, None, "transient", None),
    ],
)
def test_ofauths_two_generations_of_errors(status: int, headers: Any, body: Any, kind: str, wait: float | None) -> None:
    content = b"<html>502</html>" if body is None else json.dumps(body).encode()
    error = ofauth_error(httpx.Response(status, headers=headers, content=content), NOW)
    assert (error.kind, error.retry_after) == (kind, wait)


def test_onlymonsters_limit_is_text() -> None:
    assert onlymonster_error(429, {}, b"Rate limit exceeded").kind == "throttled"
    assert onlymonster_error(401, {}, b'{"message":"x"}').kind == "auth"
    assert onlymonster_error(524, {}, b"<html>").kind == "transient"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("message payment", "message"),
        ("recurring subscription", "recurring_subscription"),
        ("new subscription", "new_subscription"),
        ("Subscription", "new_subscription"),
        ("tip", "tip"),
        ("post purchase", "post"),
        ("live stream", "stream"),
        ("unknown", ""),
        (None, ""),
        ("vault", "other"),
    ],
)
def test_onlymonsters_prose_types(words: Any, expected: str) -> None:
    assert onlymonster.transaction_type(words) == expected


def test_onlymonsters_one_amount_is_gross() -> None:
    row = {"id": "t1", "amount": Decimal("17"), "fan": {"id": "7"}, "type": "tip", "status": "pending return"}
    found = onlymonster.read_transaction({**row, "timestamp": "2026-11-22T09:41:22.000Z"})
    assert found is not None
    assert (found.gross_cents, found.net_cents, found.status) == (1700, 1360, "pending_return")


def test_fanslys_units() -> None:
    at = datetime(2026, 11, 22, 9, 0, 5, tzinfo=UTC)
    seconds = int(at.timestamp())
    for told in (seconds, seconds * 1000 + 999, str(seconds), "2026-11-22T09:00:05+00:00"):
        assert fansly.moment(told) == at
    assert fansly.moment(True) is None
    assert fansly.moment(10**30) is None
    assert [fansly.cents(mills) for mills in (15_000, 4, 5, "1", None)] == [1500, 0, 1, None, None]
    row = {"id": "875552575192047616", "internalId": "1001", "type": 1000, "status": 1, "label": "cb-1"}
    link = fansly.read_link(row)
    assert link is not None
    assert (link.provider_link_id, link.path, link.finished) == ("875552575192047616", "t/1001", False)
    assert fansly.read_link({**row, "type": 1}) is None, "Fansly's own links are nobody's ads"
    assert fansly.read_link({**row, "internalId": "../x"}) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
EVENTS = {
    "onlymonster": ["chat.message", "fans.tip.received"],
    "ofauth": ["connection.created", "realtime.chat_message.received"],
    "fansly": [
        "fansly.subscriptions.new",
        "fansly.transactions.new",
        "fansly.tips.received",
        "fansly.messages.received",
    ],
}
NAMES = [
    "id",
    "fan_id",
    "from_id",
    "message_id",
    "created_at",
    "createdAt",
    "senderId",
    "subscriberId",
    "amount",
    "price",
]
NAMES += ["transactionId", "correlationId", "message", "connection", "eventBody", "fromUser", "status", "account"]


@given(st.sampled_from(sorted(EVENTS)), st.data())
def test_whatever_is_signed_is_read_or_refused(vendor: str, data: st.DataObject) -> None:
    event = data.draw(st.sampled_from(EVENTS[vendor]))
    payload = data.draw(st.dictionaries(st.sampled_from(NAMES), json_values, max_size=8))
    body = json.dumps({"type": event, "event": event, "payload": payload, "data": payload}).encode("utf-8")
    reader = WEBHOOKS[vendor]
    assert reader.envelope(body)[0] == event
    assert not reader.verified({}, body, ["secret"])
    events: tuple[PlatformEvent, ...] = ()
    with contextlib.suppress(Unintelligible):
        events = reader.read(body, "1").events
    assert all(one.fan_id and one.fan_id != "1" for one in events)
