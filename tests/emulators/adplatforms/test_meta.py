"""Meta's rules, by vector (capi spec section 1)."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from loadtests.emulators.adplatforms import Call, Verdict, meta
from loadtests.emulators.adplatforms.access import Access
from loadtests.emulators.adplatforms.faults import Mode

from .vectors import AGENT, GONE, HASH, META, NOW, changed, meta_call

USER = {"client_ip_address": "203.0.113.7", "client_user_agent": AGENT}


def _judge(call: Call, mode: Mode | None = None) -> Verdict:
    return meta.judge(call, NOW, Access(), mode or Mode())


def _error(verdict: Verdict) -> dict[str, Any]:
    assert isinstance(verdict.answer.body, dict)
    error: dict[str, Any] = verdict.answer.body["error"]
    return error


def test_a_right_event_has_no_findings() -> None:
    assert meta.inspect(META, NOW) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"user_data": USER},
        {"user_data": USER | {"em": [HASH, HASH], "ph": HASH}},
        {"user_data": USER | {"external_id": ["clear-id", HASH]}},
        {"user_data": USER | {"fbc": f"{META['user_data']['fbc']}.AQICAQEA"}},
        {"event_name": "My own event", "custom_data": GONE},
        {"event_name": "Purchase", "custom_data": {"value": 0, "currency": "eur"}},
        {"event_name": "Lead", "custom_data": {"contents": [{"id": "a", "quantity": 1}]}},
        {"event_time": int(NOW) - 7 * 86400},
        {"event_time": int(NOW) + 30},
        {"event_time": int(NOW) - 61 * 86400, "action_source": "physical_store"},
        {"action_source": "system_generated", "event_source_url": GONE, "user_data": {"fbp": "fb.1.1596403881668.11"}},
    ],
)
def test_other_right_events(changes: dict[str, Any]) -> None:
    assert meta.inspect(changed(META, **changes), NOW) == []


@pytest.mark.parametrize(
    ("changes", "rule", "subcode"),
    [
        ({"event_name": GONE}, "event_name", 0),
        ({"action_source": "WEB"}, "action_source", 0),
        ({"user_data": GONE}, "user_data", 0),
        ({"event_time": GONE}, "event_time", 0),
        ({"event_time": str(int(NOW))}, "event_time", 0),
        ({"event_time": NOW - 0.5}, "event_time", 0),
        ({"event_time": True}, "event_time", 0),
        ({"event_time": int(NOW) * 1000}, "event_time_future", 2804004),
        ({"event_time": int(NOW) + 3600}, "event_time_future", 2804004),
        ({"event_time": int(NOW) - 7 * 86400 - 1}, "event_time_old", 2804003),
        ({"event_time": int(NOW) - 63 * 86400, "action_source": "physical_store"}, "event_time_old", 2804003),
        ({"event_id": 7}, "event_id", 0),
        ({"user_data": {}}, "identifiers", 2804050),
        ({"user_data": {"client_user_agent": AGENT}}, "identifiers", 2804050),
        ({"user_data": {"client_user_agent": AGENT, "country": HASH, "ct": HASH}}, "identifiers", 2804050),
        ({"user_data": {"client_user_agent": AGENT, "db": HASH}}, "identifiers", 2804050),
        ({"user_data": {"fn": HASH, "ge": HASH}}, "identifiers", 2804050),
        ({"user_data": {"ln": HASH, "ge": HASH}}, "identifiers", 2804050),
        ({"user_data": {"client_user_agent": AGENT, "em": ""}}, "identifiers", 2804050),
        ({"user_data__em": "fan@example.com"}, "not_hashed", 0),
        ({"user_data__ph": [HASH, "15551234567"]}, "not_hashed", 0),
        ({"user_data__country": HASH.upper()}, "not_hashed", 0),
        ({"user_data__zp": "94035"}, "not_hashed", 0),
        ({"user_data__client_ip_address": HASH}, "hashed", 0),
        ({"user_data__client_user_agent": HASH}, "hashed", 0),
        ({"user_data__fbp": HASH}, "hashed", 0),
        ({"user_data__fbc": HASH}, "hashed", 0),
        ({"user_data__fbc": "IwAR2F4"}, "fbc", 2804001),
        ({"user_data__fbc": "fb.1.1596403881.IwAR2F4"}, "fbc", 2804001),
        ({"user_data__fbc": "fb.1.1596403881668."}, "fbc", 2804001),
        ({"user_data__external_id": ["ecid", 7]}, "external_id", 0),
        ({"user_data__client_ip_address": "203.0.113.7:443"}, "client_ip_address", 0),
        ({"custom_data": GONE}, "purchase_value", 2804009),
        ({"custom_data": {"currency": "USD"}}, "purchase_value", 2804009),
        ({"custom_data": {"value": 5}}, "currency_missing", 2804023),
        ({"event_name": "Lead", "custom_data": {"value": 5}}, "currency_missing", 2804023),
        ({"custom_data": {"value": "5.00", "currency": "USD"}}, "value", 0),
        ({"custom_data": {"value": 5, "currency": "XXQ"}}, "currency", 2804011),
        ({"custom_data__contents": [{"quantity": 1}]}, "contents_id", 2804008),
    ],
)
def test_refused_events(changes: dict[str, Any], rule: str, subcode: int) -> None:
    event = changed(META, **changes)
    found = [finding for finding in meta.inspect(event, NOW) if finding.refused]
    assert rule in [finding.rule for finding in found]
    verdict = _judge(meta_call(event))
    assert verdict.accepted == ()
    assert verdict.answer.status == 400
    assert _error(verdict)["code"] == 100
    assert next(f.subcode for f in found if f.rule == rule) == subcode


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"event_id": GONE}, "event_id_missing"),
        ({"event_source_url": GONE}, "event_source_url"),
        ({"user_data__client_user_agent": GONE}, "client_user_agent"),
        ({"user_data__em": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}, "empty_hash"),
        ({"user_data__ip": "203.0.113.7"}, "unknown_field"),
        ({"user_data__ph": []}, "empty_field"),
        ({"user_data__fbp": "1116446470"}, "fbp"),
        ({"user_data__fbc": f"fb.1.{int(NOW + 5 * 86400)}000.IwAR"}, "fbc_time"),
        ({"properties": {}}, "unknown_field"),
    ],
)
def test_what_meta_takes_but_a_sender_should_not_send(changes: dict[str, Any], rule: str) -> None:
    found = meta.inspect(changed(META, **changes), NOW)
    assert [(finding.rule, finding.refused) for finding in found] == [(rule, False)]


def test_one_bad_event_refuses_the_batch_and_is_named() -> None:
    old = changed(META, event_time=int(NOW) - 8 * 86400, event_id="old")
    verdict = _judge(meta_call(META, META, old))
    error = _error(verdict)
    assert (error["error_subcode"], error["error_user_title"]) == (2804003, "Event Timestamp Too Old")
    assert error["error_user_msg"].startswith("data[2]: ")
    assert error["is_transient"] is False
    assert verdict.accepted == ()
    assert [(f.index, f.event_id) for f in verdict.findings] == [(2, "old")]


def test_an_accepted_batch_says_how_many() -> None:
    verdict = _judge(meta_call(META, changed(META, event_id="conv_2"), test_event_code="TEST1"))
    assert isinstance(verdict.answer.body, dict)
    assert verdict.answer.body["events_received"] == 2
    assert [accepted.event_id for accepted in verdict.accepted] == ["conv_1", "conv_2"]
    assert verdict.test_event_code == "TEST1"


def test_the_batch_limit() -> None:
    events = [changed(META, event_id=str(i)) for i in range(1001)]
    assert len(_judge(meta_call(*events[:1000])).accepted) == 1000
    over = _judge(meta_call(*events))
    assert (over.accepted, over.findings[0].rule) == ((), "batch_size")
    assert _judge(meta_call()).findings[0].rule == "data"


@pytest.mark.parametrize(
    ("version", "code"), [("v25.0", None), ("v24.0", None), ("v19.0", 2635), ("v99.0", 2500), ("v25", 2500)]
)
def test_versions(version: str, code: int | None) -> None:
    verdict = _judge(meta_call(META, version=version))
    assert verdict.answer.status == (200 if code is None else 400)
    if code is not None:
        assert _error(verdict)["code"] == code


def test_the_token_may_be_a_query_form_or_json_field() -> None:
    path, data = "/v25.0/1/events", json.dumps([META])
    query = Call("POST", path, {"access_token": "test-token"}, {}, json.dumps({"data": [META]}).encode())
    form = urlencode({"data": data, "access_token": "test-token"}).encode()
    urlencoded = Call("POST", path, {}, {"content-type": "application/x-www-form-urlencoded"}, form)
    field = '--b\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    multipart = (field.format("data", data) + field.format("access_token", "test-token") + "--b--\r\n").encode()
    parts = Call("POST", path, {}, {"content-type": "multipart/form-data; boundary=b"}, multipart)
    for call in (query, urlencoded, parts, meta_call(META)):
        assert len(_judge(call).accepted) == 1
    header = Call("POST", path, {}, {"authorization": "Bearer test-token"}, json.dumps({"data": [META]}).encode())
    assert _error(_judge(header))["code"] == 190


def test_tokens_and_pixels() -> None:
    access = Access()
    access.grant("meta", "mine", "1")
    access.revoke("meta", "dead")

    def error(token: str, pixel: str) -> tuple[int, int | None] | None:
        verdict = meta.judge(meta_call(META, pixel=pixel, access_token=token), NOW, access)
        found = None if verdict.accepted else _error(verdict)
        return None if found is None else (found["code"], found.get("error_subcode"))

    assert error("mine", "1") is None
    assert error("test-token", "2") is None
    assert error("test-token", "1") == (100, 33)
    assert error("mine", "2") == (100, 33)
    assert error("test-token", "not-a-number") == (100, 33)
    assert error("dead", "1") == (190, 463)
    assert error("stranger", "1") == (190, None)
    assert error("", "1") == (190, None)


def test_a_misleading_status_hides_the_error() -> None:
    verdict = _judge(meta_call(META, access_token="stranger"), Mode("misleading_status"))
    assert (verdict.answer.status, _error(verdict)["code"]) == (500, 190)


@pytest.mark.parametrize(
    ("code", "status", "transient", "header"),
    [
        (1, 500, True, ""),
        (2, 503, True, ""),
        (4, 400, True, "X-App-Usage"),
        (17, 400, True, "X-Ad-Account-Usage"),
        (80004, 400, True, "X-Business-Use-Case-Usage"),
        (190, 400, False, ""),
    ],
)
def test_errors_on_demand(code: int, status: int, transient: bool, header: str) -> None:
    answer = meta.failure(Mode("error", code=code, subcode=463 if code == 190 else 0))
    assert isinstance(answer.body, dict)
    assert (answer.status, answer.body["error"]["is_transient"]) == (status, transient)
    if header:
        assert "100" in answer.headers[header]
    assert answer.body["error"].get("error_subcode") == (463 if code == 190 else None)
    if code == 80004:
        assert '"estimated_time_to_regain_access": 7' in answer.headers[header]


def test_what_is_wrong_with_data_is_said() -> None:
    def message(body: bytes, method: str = "POST") -> Any:
        return _error(_judge(Call(method, "/v25.0/1/events", {"access_token": "test-token"}, {}, body)))["message"]

    assert message(b"{}") == "(#100) The parameter data is required"
    assert message(b'{"data": "[1"}') == "(#100) param data must be an array."
    assert message(b'{"data": []}') == "(#100) param data must be a non-empty array."
    assert message(b"", "GET") == "Unsupported get request."


def test_nonsense_is_refused_not_crashed_on() -> None:
    for body in (b"", b"[]", b"{", b'{"data": 3}', b'{"data": "x"}', b'{"data": [1, null, []]}', b"\xff"):
        call = Call("POST", "/v25.0/1/events", {"access_token": "test-token"}, {}, body)
        assert _error(_judge(call))["code"] == 100
