"""CreatorTraffic (an assumed contract) and OnlyAutomator (upstream spec section 4)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loadtests.emulators.adplatforms import Call, Verdict, creatortraffic, onlyautomator
from loadtests.emulators.adplatforms.access import Access
from loadtests.emulators.adplatforms.faults import Mode

from .vectors import GONE, NOW, changed

CONVERSION = {
    "click_id": "ct-8841",
    "event": "subscriber",
    "conversion_id": "conv_1",
    "occurred_at": "2026-11-18T09:45:12Z",
}
PREFERENCE = {"fanId": "12345", "category": "attribution", "preference": "smart_link", "value": {"id": "01K"}}


def _call(path: str, body: Any, token: str = "test-token", content_type: str = "application/json") -> Call:
    headers = {"content-type": content_type, "authorization": f"Bearer {token}"}
    return Call("POST", path, {}, headers, json.dumps(body).encode())


def _traffic(body: Any, **options: str) -> Verdict:
    return creatortraffic.judge(_call(creatortraffic.PATH, body, **options), NOW, Access())


def _automator(path: str, body: Any, **options: str) -> Verdict:
    return onlyautomator.judge(_call(path, body, **options), NOW, Access())


def _code(verdict: Verdict) -> tuple[int, str]:
    assert isinstance(verdict.answer.body, dict)
    assert verdict.answer.body["status"] == "error"
    return verdict.answer.status, verdict.answer.body["error"]["code"]


def test_a_right_conversion() -> None:
    verdict = _traffic(CONVERSION)
    assert (verdict.answer.status, verdict.findings) == (200, ())
    assert [accepted.event_id for accepted in verdict.accepted] == ["conv_1"]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"click_id": ""}, "click_id"),
        ({"click_id": GONE}, "click_id"),
        ({"click_id": "{click_id}"}, "macro"),
        ({"click_id": "${SUBID}"}, "macro"),
        ({"click_id": "__CLICKID__"}, "macro"),
        ({"event": "new_subscriber"}, "event"),
        ({"conversion_id": 5}, "conversion_id"),
        ({"occurred_at": "2026-11-18T09:45:12"}, "occurred_at"),
        ({"occurred_at": 1795000000}, "occurred_at"),
        ({"occurred_at": "2027-11-18T09:45:12Z"}, "occurred_at_future"),
    ],
)
def test_refused_conversions(changes: dict[str, Any], rule: str) -> None:
    verdict = _traffic(changed(CONVERSION, **changes))
    assert (verdict.answer.status, verdict.accepted) == (422, ())
    assert [finding.rule for finding in verdict.refusals] == [rule]


def test_creatortraffic_wants_its_token_and_json() -> None:
    assert _traffic(CONVERSION, token="stranger").answer.status == 401
    assert _traffic(CONVERSION, token="").answer.status == 401
    assert _traffic(CONVERSION, content_type="text/plain").answer.status == 422
    assert [f.rule for f in _traffic(CONVERSION | {"payout": 1}).findings] == ["unknown_field"]


def test_both_are_posts() -> None:
    headers = _call("/", {}).headers
    gets = [Call("GET", path, {}, headers) for path in (creatortraffic.PATH, onlyautomator.SYNC_NOTES)]
    traffic = creatortraffic.judge(gets[0], NOW, Access())
    automator = onlyautomator.judge(gets[1], NOW, Access())
    assert [traffic.findings[0].rule, automator.findings[0].rule] == ["method", "method"]
    assert (traffic.answer.status, automator.answer.status) == (405, 400)


def test_a_preference_is_upserted() -> None:
    verdict = _automator(onlyautomator.UPDATE_PREFERENCE, PREFERENCE)
    assert isinstance(verdict.answer.body, dict)
    data = verdict.answer.body["data"]
    assert (verdict.findings, data["value"], data["category"]) == ((), {"id": "01K"}, "attribution")
    other = _automator(onlyautomator.UPDATE_PREFERENCE, PREFERENCE | {"value": None})
    assert isinstance(other.answer.body, dict)
    assert other.answer.body["data"]["id"] == data["id"]
    assert other.accepted[0].keys == verdict.accepted[0].keys


def test_notes_are_synchronised() -> None:
    verdict = _automator(onlyautomator.SYNC_NOTES, {"fanId": "12345", "force": False})
    assert isinstance(verdict.answer.body, dict)
    assert verdict.answer.body["data"]["synchronized"] is True
    assert [accepted.name for accepted in verdict.accepted] == ["sync-notes"]
    noted = _automator(onlyautomator.SYNC_NOTES, {"fanId": "12345", "note": "came from smart link"})
    assert [(f.rule, f.refused) for f in noted.findings] == [("unknown_field", False)]


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (onlyautomator.SYNC_NOTES, {}, (400, "validation_error")),
        (onlyautomator.SYNC_NOTES, {"fanId": 12345}, (400, "validation_error")),
        (onlyautomator.SYNC_NOTES, {"fanId": "12345", "force": "no"}, (400, "validation_error")),
        (onlyautomator.SYNC_NOTES, {"fanId": "nobody"}, (404, "resource_not_found")),
        (onlyautomator.SYNC_NOTES, [], (400, "validation_error")),
        (onlyautomator.UPDATE_PREFERENCE, changed(PREFERENCE, value=GONE), (400, "validation_error")),
        (onlyautomator.UPDATE_PREFERENCE, changed(PREFERENCE, category=""), (400, "validation_error")),
        (onlyautomator.UPDATE_PREFERENCE, changed(PREFERENCE, preference=GONE), (400, "validation_error")),
        ("/api/v2/notes", PREFERENCE, (404, "resource_not_found")),
    ],
)
def test_refused_calls(path: str, body: Any, expected: tuple[int, str]) -> None:
    verdict = _automator(path, body)
    assert (_code(verdict), verdict.accepted) == (expected, ())


def test_the_user_token_expires() -> None:
    access = Access()
    access.grant("onlyautomator", "short", expires=NOW + 3600)
    call = _call(onlyautomator.UPDATE_PREFERENCE, PREFERENCE, "short")
    assert onlyautomator.judge(call, NOW, access).answer.status == 200
    assert _code(onlyautomator.judge(call, NOW + 3600, access)) == (401, "authentication_required")


def test_errors_on_demand() -> None:
    assert onlyautomator.failure(Mode("error", code="sync_in_progress")).status == 409
    assert onlyautomator.failure(Mode("error")).status == 503
    with pytest.raises(KeyError):
        onlyautomator.failure(Mode("error", code="no such code"))
    assert creatortraffic.failure(Mode("error", status=429)).status == 429
