"""TikTok Events API 2.0: `POST /open_api/v1.3/event/track/` (capi spec section 2).

HTTP is 200 whatever happens, `code` tells; only a wrong path (404; the trailing slash is part of it) or method
(405) shows in the status. A bad event refuses the request; with mode `partial` the others are taken and the answer is
20001, naming the failed ones in `data.failed_events`, unless `bare`. That shape is an assumption: none is published.
"""

from __future__ import annotations

import itertools
from typing import Any

from .access import Access
from .faults import OK, Mode
from .fields import (
    CURRENCIES,
    EMPTY_HASH,
    is_address,
    is_hash,
    is_integer,
    is_number,
    is_one_of,
    is_page,
    looks_hashed,
    values_of,
)
from .verdicts import Accepted, Answer, Call, Finding, Verdict, warning

MODES = frozenset({"partial"})
PATH = "/open_api/v1.3/event/track/"
MAX_EVENTS = 1000
DEDUP_SECONDS = 48 * 3600.0
STALE_AGE = 28 * 86400.0
"""Beyond the longest click window an event is worth nothing, though no limit is documented (capi spec 2.5)."""
PURCHASES = frozenset({"Purchase", "CompletePayment"})
SOURCES = frozenset({"web", "app", "offline", "crm"})
HASHED = ("email", "phone", "external_id", "first_name", "last_name", "zip_code")
PLACES = ("city", "state", "country")
CLEAR = ("ttclid", "ttp", "ip", "user_agent", "locale", *PLACES)
_TOP = frozenset({"event_source", "event_source_id", "test_event_code", "partner_name", "data"})
_EVENT = frozenset({"event", "event_time", "event_id", "user", "page", "properties", "limited_data_use", "app", "ad"})
_MATCHING = ("ttclid", "ttp", "email", "phone", "external_id", "ip")
_MESSAGES = {
    20001: "Partial success",
    40001: "No permission to operate pixel code: {pixel}. You must be an admin or operator of this advertiser account.",
    40016: "Too many requests. Please retry in some time.",
    40100: "Too many requests. Please retry in some time.",
    40102: "Access token is expired.",
    40104: "Access token is empty.",
    40105: "Access token is incorrect or has been revoked.",
    40132: "Request rate of the pixel exceeds its limit.",
    40133: "Request rate of the advertiser exceeds its limit.",
    40201: "Task is not ready.",
    50000: "System error.",
    50002: "Service error.",
    60001: "Internal service timed out.",
    61000: "Too many requests in total.",
}
_requests = itertools.count(1)


def pixel_of(call: Call, access: Access) -> str:
    """`event_source_id` of the body."""
    return str((call.document() or {}).get("event_source_id") or "")


def inspect(event: object, now: float, source: str = "web") -> list[Finding]:
    """Every finding about one event of `data`, at `now` (epoch seconds), for an `event_source`."""
    if not isinstance(event, dict):
        return [_invalid("event_type", "data: not a valid object.")]
    found = [*_time(event, now)]
    if not isinstance(event.get("event"), str) or not event["event"]:
        found.append(_invalid("event", "Invalid value for event: field is required."))
    event_id = event.get("event_id")
    if event_id is None or event_id == "":
        found.append(warning("event_id_missing", "without an event_id a retry is counted twice"))
    elif not isinstance(event_id, str):
        found.append(_invalid("event_id", "Invalid value for event_id: not a valid string."))
    page = event.get("page", {})
    if source == "web" and not (isinstance(page, dict) and is_page(page.get("url"))):
        found.append(_invalid("page_url", "Invalid value for page.url: field is required for web events."))
    user = event.get("user", {})
    if not isinstance(user, dict):
        found.append(_invalid("user", "Invalid value for user: not a valid object."))
    else:
        found += _user(user)
    found += _properties(event)
    found += [warning("unknown_field", f"{name} is not a field of an event") for name in event.keys() - _EVENT]
    return found


def judge(call: Call, now: float, access: Access, mode: Mode = OK) -> Verdict:
    """Judge a whole request."""
    if call.path != PATH:
        return _lost(404, Finding("path", f"{call.path} is not {PATH}"))
    if call.method != "POST":
        return _lost(405, Finding("method", f"{call.method} is not POST"))
    pixel = pixel_of(call, access)
    body = call.document()
    wrong = _head(call, body, pixel, now, access)
    if wrong is not None or body is None:
        wrong = wrong or _invalid("body", "Invalid JSON body.")
        return Verdict(_answer(wrong.code, wrong.text), (), (wrong,))
    data, source = body["data"], str(body["event_source"])
    findings = [finding.at(i, event) for i, event in enumerate(data) for finding in inspect(event, now, source)]
    findings += [warning("unknown_field", f"{name} is not a field of the request") for name in body.keys() - _TOP]
    failed = {f.index: f for f in reversed(findings) if f.refused and f.index is not None}
    if mode.mode == "partial":
        told = {i: Finding("as_told", "Event failed.", 40000, index=i) for i in mode.indexes if i < len(data)}
        failed = {**told, **failed}
    elif failed:
        first = next(finding for finding in findings if finding.refused)
        return Verdict(_answer(first.code, f"Batch.{first.index}: {first.text}"), (), tuple(findings))
    accepted = tuple(_accepted(i, event) for i, event in enumerate(data) if i not in failed)
    answer = _partial(data, failed, mode) if failed else _answer(0, "OK")
    code = body.get("test_event_code")
    return Verdict(answer, accepted, tuple(findings), None if code is None else str(code))


def failure(mode: Mode) -> Answer:
    """The answer with `code` (default 50000), HTTP 200 unless `status` is set."""
    code = mode.code or 50000
    text = _MESSAGES.get(int(code), "Error as told.").format(pixel="(as told)")
    return _answer(int(code), text, mode.status or 200)


def _head(call: Call, body: dict[str, Any] | None, pixel: str, now: float, access: Access) -> Finding | None:
    token = call.headers.get("access-token", "")
    standing = access.standing("tiktok", token, pixel, now)
    refused = {"missing": 40104, "unknown": 40105, "expired": 40102}.get(standing)
    if refused is not None:
        return Finding("token", _MESSAGES[refused], refused)
    if call.content_type != "application/json":
        return _invalid("content_type", "Content-Type must be application/json.")
    if body is None:
        return _invalid("body", "Invalid JSON body.")
    if not is_one_of(body.get("event_source"), SOURCES):
        return _invalid("event_source", "Invalid value for event_source: must be one of web, app, offline, crm.")
    if not isinstance(body.get("event_source_id"), str) or not pixel:
        return _invalid("event_source_id", "Invalid value for event_source_id: not a valid string.")
    if standing == "forbidden":
        return Finding("pixel", _MESSAGES[40001].format(pixel=pixel), 40001)
    data = body.get("data")
    if not isinstance(data, list) or not data:
        return _invalid("data", "Invalid value for data: a non-empty list is required.")
    if len(data) > MAX_EVENTS:
        return Finding("batch_size", f"Batch size {len(data)} exceeds the limit of {MAX_EVENTS}.", 40061)
    return None


def _time(event: dict[str, Any], now: float) -> list[Finding]:
    at = event.get("event_time")
    if not is_integer(at) or not isinstance(at, int):
        return [_invalid("event_time", "Invalid value for event_time: not a valid integer of Unix seconds.")]
    if at > 10**11 or at < 10**8:
        return [_invalid("event_time_unit", f"Invalid value for event_time: {at} is not in Unix seconds.")]
    if at > now + 600:
        return [warning("event_time_future", f"event_time {at} is in the future")]
    return [warning("event_time_old", "event_time is over 28 days old")] if at < now - STALE_AGE else []


def _user(user: dict[str, Any]) -> list[Finding]:
    found = []
    for name in HASHED:
        for value in values_of(user[name]) if user.get(name) is not None else ():
            if not is_hash(value):
                found.append(Finding("not_hashed", f"user.{name} must be hashed with SHA-256.", 40062))
            elif value == EMPTY_HASH:
                found.append(warning("empty_hash", f"user.{name} is the hash of an empty string"))
    for name in CLEAR:
        value = user.get(name)
        if value is None:
            continue
        if not isinstance(value, str) or looks_hashed(value):
            found.append(_invalid("hashed", f"Invalid value for user.{name}: must be a clear string."))
        elif not value:
            found.append(warning("empty_field", f"user.{name} is empty; leave it out"))
        elif name in PLACES and (value != value.lower() or " " in value):
            found.append(warning("place", f"user.{name} must be lower case without spaces"))
    if user.get("ip") and not looks_hashed(user["ip"]) and not is_address(user["ip"]):
        found.append(_invalid("ip", "Invalid value for user.ip: not a valid IP address."))
    if not any(user.get(name) for name in _MATCHING):
        found.append(warning("identifiers", "nothing in user can be matched"))
    found += [warning("unknown_field", f"{x} is not a field of user") for x in user.keys() - {*HASHED, *CLEAR}]
    return found


def _properties(event: dict[str, Any]) -> list[Finding]:
    properties = event.get("properties", {})
    if not isinstance(properties, dict):
        return [_invalid("properties", "Invalid value for properties: not a valid object.")]
    found = []
    value, currency = properties.get("value"), properties.get("currency")
    if value is not None and not is_number(value):
        found.append(_invalid("value", "Invalid value for properties.value: not a valid number."))
    if currency is not None and not is_one_of(currency, CURRENCIES):
        found.append(_invalid("currency", "Invalid value for properties.currency: not a supported currency."))
    if (value is None) != (currency is None):
        found.append(warning("value_currency", "value and currency are of use only together"))
    if is_one_of(event.get("event"), PURCHASES) and value is None:
        found.append(warning("purchase_value", "a purchase without a value counts for nothing"))
    contents = properties.get("contents", [])
    if not isinstance(contents, list):
        return [*found, _invalid("contents", "Invalid value for properties.contents: not a valid list.")]
    for i, item in enumerate(contents):
        if not isinstance(item, dict) or not isinstance(item.get("content_id", ""), str):
            found.append(_invalid("content_id", f"properties.contents.{i}.content_id: Not a valid string"))
    return found


def _accepted(index: int, event: dict[str, Any]) -> Accepted:
    event_id = event.get("event_id") or None
    keys = (((event["event"], event_id), DEDUP_SECONDS),) if event_id else ()
    return Accepted(event["event"], event_id, float(event["event_time"]), event, index, keys)


def _partial(data: list[Any], failed: dict[int, Finding], mode: Mode) -> Answer:
    rows = [
        {"index": i, "event_id": event.get("event_id"), "code": failed[i].code, "message": failed[i].text}
        for i, event in enumerate(data)
        if i in failed and isinstance(event, dict)
    ]
    return _answer(20001, _MESSAGES[20001], data={} if mode.bare else {"failed_events": rows})


def _answer(code: int | str, message: str, status: int = 200, data: dict[str, Any] | None = None) -> Answer:
    number = f"20261122{next(_requests):012d}"
    return Answer(status, {"code": code, "message": message, "request_id": number, "data": data or {}})


def _lost(status: int, finding: Finding) -> Verdict:
    return Verdict(
        Answer(status, f"{status} page not found" if status == 404 else "method not allowed"), (), (finding,)
    )


def _invalid(rule: str, text: str) -> Finding:
    return Finding(rule, text, 40002)
