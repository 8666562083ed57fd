"""TikTok's rules, by vector (capi spec section 2)."""

from __future__ import annotations

from typing import Any

import pytest

from loadtests.emulators.adplatforms import Call, Verdict, tiktok
from loadtests.emulators.adplatforms.access import Access
from loadtests.emulators.adplatforms.faults import Mode
from loadtests.emulators.adplatforms.fields import EMPTY_HASH

from .vectors import GONE, HASH, NOW, TIKTOK, changed, tiktok_call


def _judge(call: Call, mode: Mode | None = None) -> Verdict:
    return tiktok.judge(call, NOW, Access(), mode or Mode())


def _code(verdict: Verdict) -> Any:
    assert isinstance(verdict.answer.body, dict)
    assert verdict.answer.status == 200
    return verdict.answer.body["code"]


def test_a_right_event_has_no_findings() -> None:
    assert tiktok.inspect(TIKTOK, NOW) == []
    verdict = _judge(tiktok_call(TIKTOK))
    assert (_code(verdict), verdict.findings, len(verdict.accepted)) == (0, (), 1)


@pytest.mark.parametrize(
    ("changes", "code", "rule"),
    [
        ({"event": GONE}, 40002, "event"),
        ({"event_time": GONE}, 40002, "event_time"),
        ({"event_time": "1795000000"}, 40002, "event_time"),
        ({"event_time": NOW - 0.5}, 40002, "event_time"),
        ({"event_time": int(NOW) * 1000}, 40002, "event_time_unit"),
        ({"event_id": 12345}, 40002, "event_id"),
        ({"page": GONE}, 40002, "page_url"),
        ({"page__url": "/go/01K"}, 40002, "page_url"),
        ({"user__email": "fan@example.com"}, 40062, "not_hashed"),
        ({"user__email": [HASH, "fan@example.com"]}, 40062, "not_hashed"),
        ({"user__email": ""}, 40062, "not_hashed"),
        ({"user__phone": "+15551234567"}, 40062, "not_hashed"),
        ({"user__external_id": "ecid-1"}, 40062, "not_hashed"),
        ({"user__external_id": HASH.upper()}, 40062, "not_hashed"),
        ({"user__zip_code": "94035"}, 40062, "not_hashed"),
        ({"user__city": HASH}, 40002, "hashed"),
        ({"user__country": HASH}, 40002, "hashed"),
        ({"user__ip": HASH}, 40002, "hashed"),
        ({"user__ttclid": HASH}, 40002, "hashed"),
        ({"user__ip": "not an address"}, 40002, "ip"),
        ({"properties__value": "12.50"}, 40002, "value"),
        ({"properties__currency": "usd"}, 40002, "currency"),
        ({"properties__contents": [{"content_id": 1077218}]}, 40002, "content_id"),
        ({"properties": []}, 40002, "properties"),
        ({"user": "x"}, 40002, "user"),
    ],
)
def test_refused_events(changes: dict[str, Any], code: int, rule: str) -> None:
    verdict = _judge(tiktok_call(changed(TIKTOK, **changes)))
    assert (_code(verdict), verdict.accepted) == (code, ())
    assert [finding.rule for finding in verdict.refusals] == [rule]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"event_id": GONE}, "event_id_missing"),
        ({"user": {}}, "identifiers"),
        ({"user__ttp": ""}, "empty_field"),
        ({"user__email": EMPTY_HASH}, "empty_hash"),
        ({"user__state": "New York"}, "place"),
        ({"user__client_ip_address": "203.0.113.7"}, "unknown_field"),
        ({"context": {}}, "unknown_field"),
        ({"event_time": int(NOW) - 29 * 86400}, "event_time_old"),
        ({"event": "ViewContent", "properties__currency": GONE}, "value_currency"),
        ({"properties": {}}, "purchase_value"),
    ],
)
def test_what_tiktok_takes_but_a_sender_should_not_send(changes: dict[str, Any], rule: str) -> None:
    verdict = _judge(tiktok_call(changed(TIKTOK, **changes)))
    assert (_code(verdict), len(verdict.accepted)) == (0, 1)
    assert [finding.rule for finding in verdict.findings] == [rule]


def test_page_is_for_web_alone() -> None:
    assert len(_judge(tiktok_call(changed(TIKTOK, page=GONE), event_source="crm")).accepted) == 1


@pytest.mark.parametrize(
    "path", ["/open_api/v1.3/event/track", "/open_api/v1.3/pixel/track/", "/open_api/v1.3/pixel/batch/"]
)
def test_only_the_path_and_the_method_show_in_the_http_status(path: str) -> None:
    assert _judge(tiktok_call(TIKTOK, path=path)).answer.status == 404
    right = tiktok_call(TIKTOK)
    assert _judge(Call("GET", right.path, {}, right.headers, right.body)).answer.status == 405


def test_tokens() -> None:
    access = Access()
    access.grant("tiktok", "mine", "C4PIXEL")
    access.grant("tiktok", "late", "C4PIXEL", NOW - 1)

    def code(token: str) -> Any:
        return _code(tiktok.judge(tiktok_call(TIKTOK, token=token), NOW, access))

    assert [code(token) for token in ("mine", "", "stranger", "late", "test-token")] == [0, 40104, 40105, 40102, 40001]


@pytest.mark.parametrize(
    "top", [{"event_source": GONE}, {"event_source": "website"}, {"event_source_id": GONE}, {"event_source_id": 7}]
)
def test_the_source_is_required(top: dict[str, Any]) -> None:
    assert _code(_judge(tiktok_call(TIKTOK, **top))) == 40002


def test_the_batch_limit() -> None:
    events = [changed(TIKTOK, event_id=str(i)) for i in range(1001)]
    assert len(_judge(tiktok_call(*events[:1000])).accepted) == 1000
    assert _code(_judge(tiktok_call(*events))) == 40061
    assert _code(_judge(tiktok_call())) == 40002


def test_one_bad_event_refuses_the_request_unless_partial() -> None:
    call = tiktok_call(TIKTOK, changed(TIKTOK, event_id=7), changed(TIKTOK, event_id="conv_3"))
    assert _judge(call).accepted == ()
    verdict = _judge(call, Mode("partial", indexes=(2,)))
    assert _code(verdict) == 20001
    assert [accepted.event_id for accepted in verdict.accepted] == ["conv_1"]
    assert isinstance(verdict.answer.body, dict)
    failed = verdict.answer.body["data"]["failed_events"]
    assert [(row["index"], row["code"]) for row in failed] == [(1, 40002), (2, 40000)]
    bare = _judge(call, Mode("partial", bare=True)).answer.body
    assert isinstance(bare, dict)
    assert (bare["code"], bare["data"]) == (20001, {})


@pytest.mark.parametrize("code", [40016, 40100, 40133, 50000, 60001, 40105])
def test_errors_on_demand_come_with_http_200(code: int) -> None:
    answer = tiktok.failure(Mode("error", code=code))
    assert isinstance(answer.body, dict)
    assert (answer.status, answer.body["code"]) == (200, code)


def test_the_test_event_code_is_kept() -> None:
    verdict = _judge(tiktok_call(TIKTOK, test_event_code="TEST9"))
    assert (verdict.test_event_code, len(verdict.accepted)) == ("TEST9", 1)


def test_the_body_is_json() -> None:
    right = tiktok_call(TIKTOK)
    verdict = _judge(Call("POST", right.path, {}, {**right.headers, "content-type": "text/plain"}, right.body))
    assert (_code(verdict), verdict.findings[0].rule) == (40002, "content_type")


def test_nonsense_is_refused_not_crashed_on() -> None:
    right = tiktok_call(TIKTOK)
    for body in (b"", b"[]", b"{", b'{"data": 3}', b"\xff"):
        assert _code(_judge(Call("POST", right.path, {}, right.headers, body))) == 40002
    assert _code(_judge(tiktok_call(1, None, []))) == 40002
