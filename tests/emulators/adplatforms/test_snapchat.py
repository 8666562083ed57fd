"""Snapchat's rules, by vector (capi spec section 3)."""

from __future__ import annotations

from typing import Any

import pytest

from loadtests.emulators.adplatforms import Call, Verdict, snapchat
from loadtests.emulators.adplatforms.access import Access
from loadtests.emulators.adplatforms.faults import Mode
from loadtests.emulators.adplatforms.fields import EMPTY_HASH

from .vectors import AGENT, GONE, HASH, NOW, SNAPCHAT, changed, snapchat_call


def _judge(call: Call, mode: Mode | None = None) -> Verdict:
    return snapchat.judge(call, NOW, Access(), mode or Mode())


def _body(verdict: Verdict) -> dict[str, Any]:
    assert isinstance(verdict.answer.body, dict)
    return verdict.answer.body


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"event_time": int(NOW) * 1000 - 60_000},
        {"event_time": int(NOW) - 36 * 86400},
        {"action_source": "website"},
        {"action_source": "web"},
        {"action_source": "OFFLINE", "event_source_url": GONE},
        {"event_name": "SIGN_UP", "custom_data": GONE},
        {"user_data": {"em": [HASH]}},
        {"user_data": {"madid": "6d92078a-8246-4ba4-ae5b-76104861e7dc"}},
    ],
)
def test_right_events_have_no_findings(changes: dict[str, Any]) -> None:
    event = changed(SNAPCHAT, **changes)
    assert snapchat.inspect(event, NOW) == []
    verdict = _judge(snapchat_call(event))
    assert (_body(verdict)["status"], len(verdict.accepted)) == ("VALID", 1)
    assert abs((verdict.accepted[0].event_time or 0) - NOW) < 37 * 86400


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"event_name": "LEAD"}, "event_name"),
        ({"event_name": "Purchase"}, "event_name"),
        ({"event_name": GONE}, "event_name"),
        ({"event_time": GONE}, "event_time"),
        ({"event_time": NOW - 0.5}, "event_time"),
        ({"event_time": int(NOW) + 3600}, "event_time_future"),
        ({"event_time": int(NOW) * 1_000_000}, "event_time_future"),
        ({"event_time": int(NOW) - 38 * 86400}, "event_time_old"),
        ({"action_source": "physical_store"}, "action_source"),
        ({"event_source_url": GONE}, "event_source_url"),
        ({"event_id": 7}, "event_id"),
        ({"user_data": GONE}, "user_data"),
        ({"user_data": {"sc_click_id": "8c2a"}}, "identifiers"),
        ({"user_data": {"client_ip_address": "203.0.113.7"}}, "identifiers"),
        ({"user_data__em": ["fan@example.com"]}, "not_hashed"),
        ({"user_data__ct": "sanfrancisco"}, "not_hashed"),
        ({"user_data__country": HASH.upper()}, "not_hashed"),
        ({"user_data__sc_click_id": HASH}, "hashed"),
        ({"user_data__client_user_agent": HASH}, "hashed"),
        ({"user_data__client_ip_address": "203.0.113.300"}, "client_ip_address"),
        ({"custom_data": GONE}, "purchase_value"),
        ({"custom_data": {"value": 1}}, "purchase_value"),
        ({"custom_data__value": "a lot"}, "value"),
        ({"custom_data__value": True}, "value"),
        ({"custom_data__currency": "usd"}, "currency"),
    ],
)
def test_refused_events(changes: dict[str, Any], rule: str) -> None:
    verdict = _judge(snapchat_call(SNAPCHAT, changed(SNAPCHAT, **changes)))
    assert [finding.rule for finding in verdict.refusals] == [rule]
    body = _body(verdict)
    assert (verdict.answer.status, body["status"], body["event"], verdict.accepted) == (400, "INVALID", 1, ())
    assert body["errors"]["error_msgs"] == [body["reason"]]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"event_id": GONE}, "event_id_missing"),
        ({"event_time": str(int(NOW))}, "event_time_text"),
        ({"custom_data__value": "10"}, "value_text"),
        ({"user_data__em": HASH}, "list"),
        ({"user_data__em": [EMPTY_HASH]}, "empty_hash"),
        ({"properties": {}}, "unknown_field"),
        ({"user_data__fbp": "x"}, "unknown_field"),
        ({"user_data__sc_cookie1": ""}, "empty_field"),
    ],
)
def test_what_snapchat_takes_but_a_sender_should_not_send(changes: dict[str, Any], rule: str) -> None:
    verdict = _judge(snapchat_call(changed(SNAPCHAT, **changes)))
    assert len(verdict.accepted) == 1
    assert [(finding.rule, finding.refused) for finding in verdict.findings] == [(rule, False)]


def test_invalid_may_hide_in_a_200() -> None:
    verdict = _judge(snapchat_call(changed(SNAPCHAT, event_name="LEAD")), Mode("invalid_in_200"))
    assert (verdict.answer.status, _body(verdict)["status"], _body(verdict)["event"]) == (200, "INVALID", 0)


def test_validate_counts_nothing_and_logs_every_event() -> None:
    bad = changed(SNAPCHAT, event_name="LEAD")
    verdict = _judge(snapchat_call(SNAPCHAT, bad, path="/v3/px-1/events/validate"))
    logs = _body(verdict)["event_logs"]
    assert verdict.accepted == ()
    assert len(verdict.validated) == 1
    assert [log["status"] for log in logs] == ["VALID", "INVALID"]
    assert (_body(verdict)["test_event"], verdict.answer.status) == (True, 400)
    assert _judge(snapchat_call(SNAPCHAT, path="/v3/px-1/events/validate")).answer.status == 200


def test_the_batch_limit() -> None:
    light = changed(SNAPCHAT, user_data={"client_ip_address": "203.0.113.7", "client_user_agent": AGENT})
    events = [changed(light, event_id=str(i)) for i in range(2001)]
    assert len(_judge(snapchat_call(*events[:2000])).accepted) == 2000
    over = _judge(snapchat_call(*events))
    assert (over.answer.status, over.findings[0].rule) == (400, "batch_size")
    assert "event" not in _body(over)


def test_tokens_paths_and_methods() -> None:
    access = Access()
    access.grant("snapchat", "mine", "px-2")

    def status(call: Call) -> int:
        return snapchat.judge(call, NOW, access).answer.status

    right = snapchat_call(SNAPCHAT)
    assert status(right) == 200
    assert status(snapchat_call(SNAPCHAT, token="")) == 401
    assert status(snapchat_call(SNAPCHAT, token="stranger")) == 401
    assert status(snapchat_call(SNAPCHAT, token="mine")) == 403
    assert status(snapchat_call(SNAPCHAT, path="/v2/conversion")) == 404
    assert status(Call("GET", right.path, right.query, right.headers)) == 405
    assert status(Call("GET", "/v3/px-1/events/validate/logs", right.query)) == 200
    assert status(Call("POST", right.path, right.query, {}, right.body)) == 415
    bearer = {**right.headers, "authorization": "Bearer test-token"}
    assert status(Call("POST", right.path, {}, bearer, right.body)) == 401


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_errors_on_demand(status: int) -> None:
    assert snapchat.failure(Mode("error", status=status)).status == status


def test_nonsense_is_refused_not_crashed_on() -> None:
    right = snapchat_call(SNAPCHAT)
    for body in (b"", b"[]", b"{", b'{"data": 3}', b'{"data": [1, null, []]}', b"\xff"):
        assert _judge(Call("POST", right.path, right.query, right.headers, body)).answer.status == 400
