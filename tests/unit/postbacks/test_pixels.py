"""Ad platforms' events against their real rules, and what their answers mean."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.emulators.adplatforms import creatortraffic as creatortraffic_rules
from loadtests.emulators.adplatforms import meta as meta_rules
from loadtests.emulators.adplatforms import snapchat as snapchat_rules
from loadtests.emulators.adplatforms import tiktok as tiktok_rules
from postbacks.destinations import registry
from postbacks.destinations.base import Destination, Item
from postbacks.destinations.mapping import TYPES
from postbacks.destinations.pixel import Pixel
from postbacks.egress import Answer
from postbacks.schema import ConfigError
from tests.unit.postbacks.clicks import CLICKED, FACTS, NOW, TOKEN, item

RULES: dict[str, Any] = {"meta": meta_rules, "tiktok": tiktok_rules, "snapchat": snapchat_rules}
PIXELS = {"meta": "123456789012345", "tiktok": "C4ABCDEF1234567890", "snapchat": "0d7a4bb6-5a2e-4c3d"}


def pixel(platform: str, **config: Any) -> Pixel:
    """A connection whose clock stands at NOW."""
    found = registry.load(platform, {"pixel_id": PIXELS[platform], **config}, {"token": TOKEN})
    assert isinstance(found, Pixel)
    found.clock = lambda: NOW
    return found


def sent(destination: Destination, *items: Item) -> list[dict[str, Any]]:
    body = msgspec.json.decode(destination.render(items).body or b"")
    data: list[dict[str, Any]] = body["data"]
    return data


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def answer(body: Any, status: int = 200, **headers: str) -> Answer:
    raw = body.encode() if isinstance(body, str) else msgspec.json.encode(body)
    return Answer(status, "as told", headers, raw)


def test_meta_event_in_full() -> None:
    event = sent(pixel("meta"), item("new_transaction", facts={"purchase": "first"}))[0]
    assert event == {
        "event_name": "Purchase",
        "event_time": int((NOW - timedelta(minutes=5)).timestamp()),
        "event_id": "cnv_1",
        "action_source": "website",
        "event_source_url": FACTS["_landing_url"],
        "referrer_url": "https://l.instagram.com/",
        "user_data": {
            "client_ip_address": "203.0.113.7",
            "client_user_agent": FACTS["_user_agent"],
            "fbc": f"fb.1.{int(CLICKED.timestamp() * 1000)}.IwAR0abc-DEF_ghi",
            "fbp": FACTS["_fbp"],
            "external_id": digest("clk-12345"),
            "country": digest("de"),
        },
        "custom_data": {"value": 24.99, "currency": "USD"},
    }


def test_the_meta_token_is_in_the_body_alone() -> None:
    request = pixel("meta", test_event_code="TEST123").render([item()])
    assert request.url == "https://graph.facebook.com/v25.0/123456789012345/events"
    body = msgspec.json.decode(request.body or b"")
    assert (body["access_token"], body["test_event_code"]) == (TOKEN, "TEST123")
    assert TOKEN not in str(request.headers)


def test_tiktok_event_in_full() -> None:
    destination = pixel("tiktok")
    event = sent(destination, item("new_transaction", facts={"purchase": "repeat"}))[0]
    assert event == {
        "event": "CompletePayment",
        "event_time": int((NOW - timedelta(minutes=5)).timestamp()),
        "event_id": "cnv_1",
        "user": {
            "ttclid": "E.C.P.abcDEF",
            "ttp": FACTS["_ttp"],
            "external_id": digest("clk-12345"),
            "ip": "203.0.113.7",
            "user_agent": FACTS["_user_agent"],
            "country": "de",
        },
        "page": {"url": FACTS["_landing_url"], "referrer": "https://l.instagram.com/"},
        "properties": {"value": 24.99, "currency": "USD"},
    }
    request = destination.render([item()])
    assert request.url == "https://business-api.tiktok.com/open_api/v1.3/event/track/"
    assert request.headers["Access-Token"] == TOKEN
    assert TOKEN.encode() not in (request.body or b"")


def test_snapchat_event_in_full() -> None:
    event = sent(pixel("snapchat"), item("new_transaction", facts={"purchase": "first"}))[0]
    assert event == {
        "event_name": "PURCHASE",
        "event_time": int((NOW - timedelta(minutes=5)).timestamp()),
        "event_id": "cnv_1",
        "action_source": "WEB",
        "event_source_url": FACTS["_landing_url"],
        "user_data": {
            "client_ip_address": "203.0.113.7",
            "client_user_agent": FACTS["_user_agent"],
            "sc_click_id": FACTS["sccid"],
            "sc_cookie1": FACTS["_scid"],
            "external_id": digest("clk-12345"),
            "country": digest("de"),
        },
        "custom_data": {"value": 24.99, "currency": "USD", "order_id": "cnv_1"},
    }


@pytest.mark.parametrize(
    ("platform", "names"),
    [
        ("meta", ["ViewContent", "Subscribe", "Purchase", "Purchase", None, None, "Lead"]),
        ("tiktok", ["ViewContent", "Subscribe", "CompletePayment", "CompletePayment", None, None, None]),
        ("snapchat", ["VIEW_CONTENT", "SIGN_UP", "PURCHASE", "PURCHASE", None, None, "LEVEL_COMPLETE"]),
    ],
)
def test_default_events(platform: str, names: list[str | None]) -> None:
    destination = pixel(platform)
    assert [destination.event_names.get(ours) for ours in TYPES] == names
    wanted = {TYPES[ours] for ours in destination.event_names}
    assert set(destination.event_types) == wanted


def test_events_can_be_chosen() -> None:
    chosen: dict[str, Any] = {
        "click": "off",
        "new_subscriber": "CompleteRegistration",
        "message_received": {"custom": "FanWrote"},
    }
    destination = pixel("meta", events=chosen)
    assert destination.event_names["new_subscriber"] == "CompleteRegistration"
    assert destination.event_names["message_received"] == "FanWrote"
    assert "click" not in destination.event_types
    verdict = destination.screen(item("click"), NOW)
    assert verdict is not None
    assert (verdict.outcome, verdict.words) == ("skipped", "click is off on this connection")


@pytest.mark.parametrize(
    ("platform", "config", "field"),
    [
        ("meta", {"pixel_id": "my pixel"}, "pixel_id"),
        ("meta", {"version": "25"}, "version"),
        ("meta", {"events": {"new_subscriber": "Subscribed"}}, "events.new_subscriber"),
        ("meta", {"events": {"sale": "Purchase"}}, "events.sale"),
        ("meta", {"events": {"click": {"custom": " "}}}, "events.click"),
        ("meta", {"access_token": "x"}, "access_token"),
        ("snapchat", {"events": {"click": {"custom": "Mine"}}}, "events.click"),
        ("snapchat", {"test_event_code": "T1"}, "test_event_code"),
        ("tiktok", {"pixel_id": "../x"}, "pixel_id"),
    ],
)
def test_refused_configurations_name_the_field(platform: str, config: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as refused:
        pixel(platform, **config)
    assert refused.value.field == field


def test_a_token_is_needed_and_must_look_like_one() -> None:
    for secrets in ({}, {"token": "two words"}, {"token": "a\nb"}):
        with pytest.raises(ConfigError) as refused:
            registry.load("meta", {"pixel_id": PIXELS["meta"]}, secrets)
        assert refused.value.field == "token"


def test_the_subscription_itself_is_no_purchase() -> None:
    verdict = pixel("meta").screen(item("new_transaction"), NOW)
    assert verdict is not None
    assert verdict.outcome == "skipped"


@pytest.mark.parametrize(("platform", "days"), [("meta", 7), ("tiktok", 28), ("snapchat", 37)])
def test_stale_events_are_refused_before_sending(platform: str, days: int) -> None:
    destination = pixel(platform)
    verdict = destination.screen(item(at=NOW - timedelta(days=days)), NOW)
    assert verdict is not None
    assert verdict.outcome == "permanent"
    assert f"the last {days} days" in verdict.words
    assert destination.screen(item(at=NOW - timedelta(days=days, minutes=-6)), NOW) is None


@pytest.mark.parametrize("platform", PIXELS)
def test_a_purchase_needs_an_amount(platform: str) -> None:
    for amount in (None, "", "nan", "-5.00", "1e999"):
        verdict = pixel(platform).screen(
            item("new_transaction", facts={"purchase": "first", "amount_gross": amount}), NOW
        )
        assert verdict is not None
        assert verdict.outcome == "permanent"


def test_a_free_subscription_is_worth_nothing_and_says_so() -> None:
    event = sent(pixel("meta"), item(facts={"amount_gross": "0.00"}))[0]
    assert event["custom_data"] == {"value": 0.0, "currency": "USD"}
    assert "custom_data" not in sent(pixel("meta"), item(facts={"amount_gross": None}))[0]
    assert "custom_data" not in sent(pixel("meta"), item("click"))[0]


@pytest.mark.parametrize(
    ("cookie", "fbclid", "expected"),
    [
        ("fb.1.1795330000000.IwAR0abc-DEF_ghi", "IwAR0abc-DEF_ghi", "fb.1.1795330000000.IwAR0abc-DEF_ghi"),
        ("fb.2.1795330000000.IwAR0abc.AQICAQEA", "IwAR0abc", "fb.2.1795330000000.IwAR0abc.AQICAQEA"),
        ("fb.1.1795330000000.Older", "IwAR0abc", "made"),
        ("fb.1.1795330000000.Older", None, "fb.1.1795330000000.Older"),
        ("nonsense", "IwAR0abc", "made"),
        (None, "has.dots and spaces", None),
        ("fb.1.1700000000000.Ancient", None, None),
        (None, None, None),
    ],
)
def test_fbc(cookie: str | None, fbclid: str | None, expected: str | None) -> None:
    event = sent(pixel("meta"), item(facts={"_fbc": cookie, "fbclid": fbclid}))[0]
    made = f"fb.1.{FACTS['_click_ms']}.{fbclid}"
    assert event["user_data"].get("fbc") == (made if expected == "made" else expected)


def test_fbc_of_an_old_click_is_left_out() -> None:
    clicked = str(int((NOW - timedelta(days=90)).timestamp() * 1000))
    assert "fbc" not in sent(pixel("meta"), item(facts={"_click_ms": clicked}))[0]["user_data"]


def test_meta_refuses_an_event_nobody_can_be_matched_by() -> None:
    nothing = {"_ip": "not an address", "fbclid": None, "_fbp": "x", "external_click_id": " "}
    verdict = pixel("meta").screen(item(facts=nothing), NOW)
    assert verdict is not None
    assert "match" in verdict.words


TEXTS = st.one_of(
    st.none(),
    st.text(max_size=40),
    st.sampled_from([
        "", " ", "fb.1.1795330000000.x", "fb.1.1795330000000.x.y z", "203.0.113.7", "::1", "fe80::1%eth0", "1.2.3.4:80",
        "https://a.example/x y", "https://a.example/ok?x=1", "de", "XX", "Île", "12.50", "0.00", "-3", "inf", "1e400", "a" * 64,
        "first", "repeat", "1795330000000", "99999999999999", "\x00", "{click_id}",
    ]),
)  # fmt: skip
NAMES = sorted({*FACTS, "_fbc", "purchase"})


@pytest.mark.parametrize("platform", PIXELS)
@given(
    changes=st.dictionaries(st.sampled_from(NAMES), TEXTS, max_size=8),
    event_type=st.sampled_from(sorted(set(TYPES.values()) | {"transaction_status"})),
    age=st.floats(-3600, 45 * 86400),
)
def test_what_is_sent_is_perfect_and_the_rest_is_refused_with_a_reason(
    platform: str, changes: dict[str, str | None], event_type: str, age: float
) -> None:
    destination = pixel(platform, events={"message_received": "off", "fan_sent_1_message": "off"})
    told = item(event_type, at=NOW - timedelta(seconds=age), facts=changes)
    verdict = destination.screen(told, NOW)
    if verdict is not None:
        assert verdict.outcome in ("skipped", "permanent")
        assert verdict.words
        return
    event = sent(destination, told)[0]
    assert RULES[platform].inspect(event, NOW.timestamp()) == []


@pytest.mark.parametrize(
    ("platform", "body", "status", "outcome"),
    [
        ("meta", {"events_received": 1, "messages": []}, 200, "delivered"),
        ("meta", {"error": {"code": 2, "message": "x"}}, 200, "transient"),
        ("meta", {"error": {"code": 190, "message": "x"}}, 500, "auth"),
        ("meta", {"error": {"code": 17, "message": "x"}}, 500, "throttled"),
        ("meta", {"error": {"code": 80004, "message": "x"}}, 400, "throttled"),
        ("meta", {"error": {"code": 21009, "message": "x"}}, 400, "transient"),
        ("meta", {"error": {"code": 100, "error_subcode": 2804003, "is_transient": True}}, 500, "permanent"),
        ("meta", {"error": {"code": 100, "error_subcode": 33}}, 400, "auth"),
        ("meta", {"error": {"code": 987654}}, 400, "transient"),
        ("meta", {"error": {"code": [1]}}, 400, "transient"),
        ("meta", {"hello": 1}, 200, "transient"),
        ("meta", "<html>", 502, "transient"),
        ("meta", "<html>", 200, "transient"),
        ("meta", "slow down", 429, "throttled"),
        ("tiktok", {"code": 0, "message": "OK"}, 200, "delivered"),
        ("tiktok", {"code": 40016}, 200, "throttled"),
        ("tiktok", {"code": 40100}, 200, "throttled"),
        ("tiktok", {"code": 40132}, 200, "throttled"),
        ("tiktok", {"code": 40133}, 200, "throttled"),
        ("tiktok", {"code": 61000}, 200, "throttled"),
        ("tiktok", {"code": 40105}, 200, "auth"),
        ("tiktok", {"code": 40001}, 200, "auth"),
        ("tiktok", {"code": 40002}, 200, "permanent"),
        ("tiktok", {"code": 40062}, 200, "permanent"),
        ("tiktok", {"code": 40201}, 200, "transient"),
        ("tiktok", {"code": 51305}, 200, "transient"),
        ("tiktok", "page not found", 404, "transient"),
        ("snapchat", {"status": "VALID"}, 200, "delivered"),
        ("snapchat", {"status": "OK"}, 200, "delivered"),
        ("snapchat", {"status": "INVALID", "reason": "x"}, 200, "permanent"),
        ("snapchat", {"status": "INVALID", "reason": "x"}, 400, "permanent"),
        ("snapchat", {"status": "ERROR", "reason": "x"}, 401, "auth"),
        ("snapchat", {"status": "ERROR", "reason": "x"}, 403, "auth"),
        ("snapchat", {"status": "ERROR", "reason": "x"}, 429, "throttled"),
        ("snapchat", {"status": "ERROR", "reason": "x"}, 500, "transient"),
        ("snapchat", "<html>", 200, "transient"),
        ("snapchat", "", 200, "delivered"),
    ],
)
def test_answers_are_judged_by_what_they_say(platform: str, body: Any, status: int, outcome: str) -> None:
    verdict = pixel(platform).judge([item()], answer(body, status))[0]
    assert verdict.outcome == outcome
    assert verdict.halts == ("paused" if outcome == "auth" else "")


def test_meta_says_when_to_come_back() -> None:
    usage = '{"123": [{"type": "ads_management", "estimated_time_to_regain_access": 7}]}'
    told = Answer(400, "", {"X-Business-Use-Case-Usage": usage}, b'{"error": {"code": 80004}}')
    assert pixel("meta").judge([item()], told)[0].retry_after == 420
    broken = Answer(400, "", {"X-Business-Use-Case-Usage": "[1"}, b'{"error": {"code": 80004}}')
    assert pixel("meta").judge([item()], broken)[0].retry_after is None


@pytest.mark.parametrize(
    ("platform", "body"),
    [
        ("meta", {"error": {"code": 100, "error_user_msg": "data[1]: too old"}}),
        ("tiktok", {"code": 40002, "message": "Batch.1: no"}),
        ("snapchat", {"status": "INVALID", "event": 1}),
    ],
)
def test_the_event_an_answer_points_at_is_the_suspect(platform: str, body: Any) -> None:
    verdicts = pixel(platform).judge([item()] * 3, answer(body, 400))
    assert [verdict.suspect for verdict in verdicts] == [False, True, False]
    assert all(verdict.split for verdict in verdicts)


def test_a_partial_answer_names_the_failed() -> None:
    items = [item(event_id=f"e{number}") for number in range(3)]
    rows = [{"index": 1, "event_id": "e1", "code": 40002, "message": "no"}]
    told = answer({"code": 20001, "data": {"failed_events": rows}})
    verdicts = pixel("tiktok").judge(items, told)
    assert [verdict.outcome for verdict in verdicts] == ["delivered", "permanent", "delivered"]
    bare = pixel("tiktok").judge(items, answer({"code": 20001, "data": {}}))
    assert all(verdict.split for verdict in bare)


def test_creatortraffic_tells_its_own_subscribers_alone() -> None:
    destination = registry.load("creatortraffic", {}, {"token": TOKEN})
    own = item(facts={"utm_source": "CreatorTraffic", "external_click_id": "abc"})
    assert destination.screen(own, NOW) is None
    request = destination.render([own])
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    body = msgspec.json.decode(request.body or b"")
    assert body == {
        "click_id": "abc",
        "event": "subscriber",
        "conversion_id": "cnv_1",
        "occurred_at": (NOW - timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    assert creatortraffic_rules.inspect(body, NOW.timestamp()) == []
    for facts in ({"utm_source": "other"}, {"utm_source": "creatortraffic", "external_click_id": None}):
        verdict = destination.screen(item(facts=facts), NOW)
        assert verdict is not None
        assert verdict.outcome == "skipped"


def test_a_clock_ahead_puts_nothing_into_the_future() -> None:
    event = sent(pixel("meta"), item(at=datetime(2027, 1, 1, tzinfo=UTC)))[0]
    assert event["event_time"] == int(NOW.timestamp())
