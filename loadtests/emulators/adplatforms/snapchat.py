"""Snapchat Conversions API v3: `POST /v3/{pixel}/events` and `/events/validate` (capi spec section 3).

A bad event refuses the request with `{"status": "INVALID", "event": index, ...}` and HTTP 400; mode `invalid_in_200`
sends the same body with HTTP 200, as Snapchat has been seen to do. Validated events are never counted.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

from .access import Access
from .faults import OK, Mode
from .fields import (
    CURRENCIES,
    EMPTY_HASH,
    is_address,
    is_hash,
    is_number,
    is_one_of,
    is_page,
    looks_hashed,
    values_of,
    words,
)
from .verdicts import Accepted, Answer, Call, Finding, Verdict, warning

MODES = frozenset({"invalid_in_200"})
MAX_EVENTS = 2000
MAX_AGE = 37 * 86400.0
FUTURE_TOLERANCE = 600.0
"""Seconds a clock may run ahead; Snapchat names no figure."""
DEDUP_SECONDS = 48 * 3600.0
ORDER_DEDUP_SECONDS = 30 * 86400.0
EVENT_NAMES = frozenset(
    words(
        "PAGE_VIEW VIEW_CONTENT ADD_CART ADD_TO_WISHLIST SIGN_UP SEARCH PURCHASE ADD_BILLING START_CHECKOUT SUBSCRIBE "
        "START_TRIAL LIST_VIEW AD_CLICK AD_VIEW LOGIN SHARE SAVE RESERVE INVITE RATE COMPLETE_TUTORIAL LEVEL_COMPLETE "
        "ACHIEVEMENT_UNLOCKED SPENT_CREDITS APP_INSTALL APP_OPEN CUSTOM_EVENT_1 CUSTOM_EVENT_2 CUSTOM_EVENT_3 "
        "CUSTOM_EVENT_4 CUSTOM_EVENT_5"
    )
)
WEB = frozenset({"WEB", "WEBSITE"})
ACTION_SOURCES = frozenset({*WEB, "MOBILE_APP", "APP", "OFFLINE"})
HASHED = ("em", "ph", "fn", "ln", "ge", "ct", "st", "zp", "country")
CLEAR = words("client_ip_address client_user_agent sc_click_id sc_cookie1 madid idfv lead_id subscription_id")
_EVENT_FIELDS = frozenset(
    words(
        "event_name event_time action_source user_data event_source_url event_id integration data_processing_options "
        "custom_data app_data test_event_code"
    )
)
_PATH = re.compile(r"/v3/([^/]+)/events(/validate)?")
_REPORT = re.compile(r"/v3/([^/]+)/events/validate/(logs|stats)")


def pixel_of(call: Call, access: Access) -> str:
    """The id in the path."""
    found = _PATH.fullmatch(call.path) or _REPORT.fullmatch(call.path)
    return unquote(found[1]) if found else ""


def inspect(event: object, now: float) -> list[Finding]:
    """Every finding about one event of `data`, at `now` (epoch seconds)."""
    if not isinstance(event, dict):
        return [_invalid("event_type", "an event must be an object")]
    found = _time(event, now)
    name, source = event.get("event_name"), event.get("action_source")
    if not is_one_of(name, EVENT_NAMES):
        found.append(_invalid("event_name", f"event_name {name!r} is not supported"))
    if not isinstance(source, str) or source.upper() not in ACTION_SOURCES:
        found.append(_invalid("action_source", "action_source must be WEB, MOBILE_APP or OFFLINE"))
    elif source.upper() in WEB and not is_page(event.get("event_source_url")):
        found.append(_invalid("event_source_url", "event_source_url is required for WEB"))
    event_id = event.get("event_id")
    if event_id is None or event_id == "":
        found.append(warning("event_id_missing", "without an event_id a retry is counted twice"))
    elif not isinstance(event_id, str):
        found.append(_invalid("event_id", "event_id must be a string"))
    user = event.get("user_data")
    if not isinstance(user, dict):
        found.append(_invalid("user_data", "user_data is required"))
    else:
        found += _user(user)
    found += _custom(event)
    found += [warning("unknown_field", f"{field} is not a field of an event") for field in event.keys() - _EVENT_FIELDS]
    return found


def judge(call: Call, now: float, access: Access, mode: Mode = OK) -> Verdict:
    """Judge a whole request."""
    pixel = pixel_of(call, access)
    path = _PATH.fullmatch(call.path)
    wrong = _head(call, pixel, now, access)
    if wrong is not None:
        return Verdict(_error(int(wrong.code), wrong.text), (), (wrong,))
    if path is None:
        return Verdict(Answer(200, {"status": "SUCCESS", "data": {"pixel_id": pixel, "logs": []}}))
    body = call.document()
    data = None if body is None else body.get("data")
    if not isinstance(data, list) or not data or len(data) > MAX_EVENTS:
        rule = "batch_size" if isinstance(data, list) and data else "data"
        return _invalid_request(_invalid(rule, f"data must be a list of 1 to {MAX_EVENTS} events"), (), mode)
    findings = tuple(finding.at(i, event) for i, event in enumerate(data) for finding in inspect(event, now))
    findings += tuple(
        warning("unknown_field", f"{name} is not a field of the request")
        for name in (body or {}).keys() - {"data", "test_event_code"}
    )
    if path[2]:
        return _validation(data, findings)
    first = next((finding for finding in findings if finding.refused), None)
    if first is not None:
        return _invalid_request(first, findings, mode)
    accepted = tuple(_accepted(i, event) for i, event in enumerate(data))
    code = next((event["test_event_code"] for event in data if event.get("test_event_code")), None)
    answer = Answer(200, {"status": "VALID", "reason": "Events have been processed successfully."})
    return Verdict(answer, accepted, findings, None if code is None else str(code))


def failure(mode: Mode) -> Answer:
    """The answer with `status`, or with `code` read as one (default 500)."""
    status = mode.status or int(mode.code or 500)
    reasons = {401: "Unauthorized", 403: "Forbidden", 429: "Too Many Requests"}
    return _error(status, reasons.get(status, "Internal Server Error"))


def _head(call: Call, pixel: str, now: float, access: Access) -> Finding | None:
    report = _REPORT.fullmatch(call.path)
    if _PATH.fullmatch(call.path) is None and report is None:
        return Finding("path", f"no such path: {call.path}", 404)
    if call.method != ("POST" if report is None else "GET"):
        return Finding("method", f"{call.method} is not allowed", 405)
    standing = access.standing("snapchat", call.query.get("access_token", ""), pixel, now)
    if standing in {"missing", "unknown", "expired"}:
        return Finding("token", f"Unauthorized: the access_token is {standing}", 401)
    if standing == "forbidden":
        return Finding("pixel", f"Forbidden: no access to {pixel}", 403)
    if report is None and call.content_type != "application/json":
        return Finding("content_type", "Content-Type must be application/json", 415)
    return None


def _time(event: dict[str, Any], now: float) -> list[Finding]:
    at = event.get("event_time")
    found = []
    if isinstance(at, str) and re.fullmatch(r"\d+", at):
        found.append(warning("event_time_text", "event_time should be a number"))
        at = int(at)
    if not isinstance(at, int) or isinstance(at, bool) or at <= 0:
        return [*found, _invalid("event_time", "event_time must be Unix seconds or milliseconds")]
    seconds = _seconds(at)
    if seconds > now + FUTURE_TOLERANCE:
        found.append(_invalid("event_time_future", f"event_time {at} is in the future"))
    if seconds < now - MAX_AGE:
        found.append(_invalid("event_time_old", "event_time is over 37 days old"))
    return found


def _user(user: dict[str, Any]) -> list[Finding]:
    found = []
    given = frozenset(name for name, value in user.items() if value not in (None, "", []))
    if not given & {"em", "ph", "madid"} and not given >= {"client_ip_address", "client_user_agent"}:
        text = "one of em, ph, madid, or client_ip_address with client_user_agent is required"
        found.append(_invalid("identifiers", text))
    for name in HASHED:
        for value in values_of(user[name]) if name in given else ():
            if not is_hash(value):
                found.append(_invalid("not_hashed", f"user_data.{name} must be SHA-256 in lower-case hex"))
            elif value == EMPTY_HASH:
                found.append(warning("empty_hash", f"user_data.{name} is the hash of an empty string"))
    for name in {"em", "ph"} & given:
        if not isinstance(user[name], list):
            found.append(warning("list", f"user_data.{name} is a list"))
    for name in CLEAR:
        if name in given and (not isinstance(user[name], str) or looks_hashed(user[name])):
            found.append(_invalid("hashed", f"user_data.{name} must be a clear string"))
    if "client_ip_address" in given and not is_address(user["client_ip_address"]):
        found.append(_invalid("client_ip_address", "user_data.client_ip_address is not an IP address"))
    found += [warning("empty_field", f"user_data.{name} is empty; leave it out") for name in user.keys() - given]
    unknown = given - {*HASHED, *CLEAR, "external_id"}
    return found + [warning("unknown_field", f"{name} is not a field of user_data") for name in unknown]


def _custom(event: dict[str, Any]) -> list[Finding]:
    custom = event.get("custom_data", {})
    if not isinstance(custom, dict):
        return [_invalid("custom_data", "custom_data must be an object")]
    found = []
    value, currency = custom.get("value"), custom.get("currency")
    if event.get("event_name") == "PURCHASE" and (value is None or currency is None):
        found.append(_invalid("purchase_value", "PURCHASE needs custom_data.value and custom_data.currency"))
    if isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?", value):
        found.append(warning("value_text", "custom_data.value should be a number"))
    elif value is not None and not is_number(value):
        found.append(_invalid("value", "custom_data.value must be a number"))
    if currency is not None and not is_one_of(currency, CURRENCIES):
        found.append(_invalid("currency", f"currency {currency!r} is not an ISO 4217 code in upper case"))
    return found


def _accepted(index: int, event: dict[str, Any]) -> Accepted:
    event_id = event.get("event_id") or None
    keys: tuple[tuple[tuple[str, ...], float], ...] = ((("id", event_id), DEDUP_SECONDS),) if event_id else ()
    order = (event.get("custom_data") or {}).get("order_id")
    if order and event["event_name"] == "PURCHASE":
        keys += ((("order", str(order)), ORDER_DEDUP_SECONDS),)
    return Accepted(event["event_name"], event_id, _seconds(int(event["event_time"])), event, index, keys)


def _validation(data: list[Any], findings: tuple[Finding, ...]) -> Verdict:
    logs = []
    for i, event in enumerate(data):
        mine = [finding for finding in findings if finding.index == i]
        errors = [finding.text for finding in mine if finding.refused]
        warnings = [finding.text for finding in mine if not finding.refused]
        logs.append(
            {"event": event, "status": "INVALID" if errors else "VALID", "errors": errors, "warnings": warnings}
        )
    valid = all(log["status"] == "VALID" for log in logs)
    reason = "Test events are valid." if valid else "Some test events are invalid."
    body = {"status": "VALID" if valid else "INVALID", "test_event": True, "reason": reason, "event_logs": logs}
    looked = tuple(_accepted(i, event) for i, event in enumerate(data) if logs[i]["status"] == "VALID")
    return Verdict(Answer(200 if valid else 400, body), (), findings, None, looked)


def _invalid_request(finding: Finding, findings: tuple[Finding, ...], mode: Mode) -> Verdict:
    place = {} if finding.index is None else {"event": finding.index}
    body = {
        "status": "INVALID",
        **place,
        "errors": {"codes": [finding.rule.upper()], "error_msgs": [finding.text]},
        "reason": finding.text,
    }
    return Verdict(Answer(200 if mode.mode == "invalid_in_200" else 400, body), (), findings or (finding,))


def _seconds(at: int) -> float:
    return at / 1000 if at > 10**11 else float(at)


def _error(status: int, reason: str) -> Answer:
    return Answer(status, {"status": "ERROR", "reason": reason})


def _invalid(rule: str, text: str) -> Finding:
    return Finding(rule, text, 400)
