"""Meta Conversions API: `POST /v{NN}.0/{pixel}/events` (capi spec section 1).

One invalid event refuses the whole request. The token is a query, form or JSON body field. Errors are told by
`error.code`, whatever the HTTP status says; mode `misleading_status` answers every error with HTTP 500.
"""

from __future__ import annotations

import itertools
import re
from typing import Any
from urllib.parse import unquote

import msgspec

from . import metaerrors
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
    words,
)
from .verdicts import Accepted, Answer, Call, Finding, Verdict, warning

MODES = frozenset({"misleading_status"})
VERSIONS = (24, 25, 26)
"""Graph versions answered; older ones are deprecated, newer ones do not exist."""
MAX_EVENTS = 1000
MAX_AGE = 7 * 86400.0
MAX_AGE_PHYSICAL_STORE = 62 * 86400.0
FUTURE_TOLERANCE = 60.0
"""Seconds a clock may run ahead; Meta names no figure, only that a time in the future is refused."""
DEDUP_SECONDS = 48 * 3600.0
ACTION_SOURCES = frozenset(
    words("website email app phone_call chat physical_store system_generated business_messaging other")
)
HASHED = ("em", "ph", "fn", "ln", "db", "ge", "ct", "st", "zp", "country")
CLEAR = words(
    "client_ip_address client_user_agent fbc fbp subscription_id fb_login_id lead_id anon_id madid page_id ctwa_clid "
    "ig_account_id ig_sid"
)
TOO_BROAD = (
    frozenset({"ct", "country", "st", "zp", "ge", "client_user_agent"}),
    frozenset({"db", "client_user_agent"}),
    frozenset({"fn", "ge"}),
    frozenset({"ln", "ge"}),
)
"""user_data that consists only of (a part of) one of these is refused (capi spec 1.5)."""
_EVENT_FIELDS = frozenset(
    words(
        "event_name event_time action_source user_data event_source_url event_id custom_data referrer_url opt_out "
        "data_processing_options data_processing_options_country data_processing_options_state original_event_data "
        "attribution_data app_data messaging_channel"
    )
)
_REQUEST_FIELDS = frozenset(
    words(
        "data access_token appsecret_proof test_event_code partner_agent namespace_id upload_id upload_tag upload_source"
    )
)
_PATH = re.compile(r"/v(\d+)\.0/([^/]+)/events/?")
_FBC = re.compile(r"fb\.\d\.(\d{13})\.[^\s.]+(\.\S+)?")
_FBP = re.compile(r"fb\.\d\.\d{13}\.\d+(\.\S+)?")
_traces = itertools.count(1)


def pixel_of(call: Call, access: Access) -> str:
    """The id in the path."""
    found = _PATH.fullmatch(call.path)
    return unquote(found[2]) if found else ""


def inspect(event: object, now: float) -> list[Finding]:
    """Every finding about one event of `data`, at `now` (epoch seconds); empty if it is right in every way."""
    if not isinstance(event, dict):
        return [_invalid("event_type", "an event must be an object")]
    found = [*_required(event), *_time(event, now)]
    user = event.get("user_data")
    if isinstance(user, dict):
        found += _user(user, event, now)
    found += _custom(event)
    if event.get("action_source") == "website" and not is_page(event.get("event_source_url")):
        found.append(warning("event_source_url", "website events need an absolute event_source_url"))
    event_id = event.get("event_id")
    if event_id is None or event_id == "":
        found.append(warning("event_id_missing", "without an event_id a retry is counted twice"))
    elif not isinstance(event_id, str):
        found.append(_invalid("event_id", "event_id must be a string"))
    found += [warning("unknown_field", f"{name} is not a field of an event") for name in event.keys() - _EVENT_FIELDS]
    return found


def judge(call: Call, now: float, access: Access, mode: Mode = OK) -> Verdict:
    """Judge a whole request; refuses everything or takes everything."""
    pixel = pixel_of(call, access)
    form = call.form()
    fields: dict[str, Any] | None = form if form is not None else call.document()
    wrong = _address(call) or _token(call, fields, pixel, now, access)
    if wrong is None and fields is None:
        wrong = _invalid("body", "(#100) The body is neither a JSON object nor a form")
    if wrong is not None:
        return _refusal(wrong, (wrong,), mode)
    data = _data(fields.get("data") if fields else None)
    if isinstance(data, Finding):
        return _refusal(data, (data,), mode)
    findings = tuple(finding.at(i, event) for i, event in enumerate(data) for finding in inspect(event, now))
    unknown = (fields or {}).keys() - _REQUEST_FIELDS
    findings += tuple(warning("unknown_field", f"{name} is not a field of the request") for name in unknown)
    code = fields.get("test_event_code") if fields else None
    first = next((finding for finding in findings if finding.refused), None)
    if first is not None:
        return _refusal(first, findings, mode)
    accepted = tuple(_accepted(i, event) for i, event in enumerate(data))
    answer = {"events_received": len(data), "messages": [], "fbtrace_id": _trace()}
    return Verdict(
        Answer(200, answer, metaerrors.usage(calm=True)), accepted, findings, None if code is None else str(code)
    )


def failure(mode: Mode) -> Answer:
    """The Graph error for `code` (default 2); throttles carry the usage headers."""
    return metaerrors.graph_error(mode.code or 2, mode.subcode, mode.status, _trace())


def _address(call: Call) -> Finding | None:
    found = _PATH.fullmatch(call.path)
    if found is None or int(found[1]) > VERSIONS[-1]:
        return Finding("path", f"Unknown path components: {call.path}", 2500)
    if int(found[1]) < VERSIONS[0]:
        latest = f"You are calling a deprecated version of the Ads API. Please update to the latest version: v{VERSIONS[-1]}.0."
        return Finding("version", f"(#2635) {latest}", 2635)
    if call.method != "POST":
        return _invalid("method", f"Unsupported {call.method.lower()} request.")
    return None if re.fullmatch(r"\d+", found[2]) else _no_object(found[2])


def _token(call: Call, fields: dict[str, Any] | None, pixel: str, now: float, access: Access) -> Finding | None:
    sent = call.query.get("access_token") or (fields or {}).get("access_token") or ""
    standing = access.standing("meta", sent if isinstance(sent, str) else "", pixel, now)
    if standing in {"missing", "unknown"}:
        return Finding("token", "Invalid OAuth access token - Cannot parse access token", 190)
    if standing == "expired":
        return Finding("token_expired", "Error validating access token: Session has expired", 190, 463)
    return _no_object(pixel) if standing == "forbidden" else None


def _data(data: Any) -> list[Any] | Finding:
    if isinstance(data, str):
        try:
            data = msgspec.json.decode(data)
        except msgspec.DecodeError:
            return _invalid("data", "(#100) param data must be an array.")
    if data is None:
        return _invalid("data", "(#100) The parameter data is required")
    if not isinstance(data, list) or not data:
        return _invalid("data", "(#100) param data must be a non-empty array.")
    if len(data) > MAX_EVENTS:
        return _invalid("batch_size", f"(#100) Too many events: {len(data)} sent, at most {MAX_EVENTS} in one request.")
    return data


def _required(event: dict[str, Any]) -> list[Finding]:
    found = []
    if not isinstance(event.get("event_name"), str) or not event["event_name"]:
        found.append(_invalid("event_name", "event_name is required and must be a string"))
    if not is_one_of(event.get("action_source"), ACTION_SOURCES):
        found.append(_invalid("action_source", "action_source is required and must be one of Meta's values"))
    if not isinstance(event.get("user_data"), dict):
        found.append(_invalid("user_data", "user_data is required and must be an object"))
    return found


def _time(event: dict[str, Any], now: float) -> list[Finding]:
    at = event.get("event_time")
    if not is_integer(at) or not isinstance(at, int):
        return [_invalid("event_time", "event_time is required and must be an integer of Unix seconds")]
    oldest = MAX_AGE_PHYSICAL_STORE if event.get("action_source") == "physical_store" else MAX_AGE
    if at > now + FUTURE_TOLERANCE:
        unit = "; it looks like milliseconds" if at > 10**11 else ""
        return [_invalid("event_time_future", f"event_time {at} is in the future{unit}", 2804004)]
    if at < now - oldest:
        return [_invalid("event_time_old", f"event_time is more than {oldest / 86400:.0f} days old", 2804003)]
    return []


def _user(user: dict[str, Any], event: dict[str, Any], now: float) -> list[Finding]:
    found = []
    given = frozenset(name for name, value in user.items() if value not in (None, "", []))
    if any(given <= broad for broad in TOO_BROAD):
        found.append(_invalid("identifiers", f"user_data has only {sorted(given)}", 2804050))
    for name in HASHED:
        for value in values_of(user[name]) if name in given else ():
            if not is_hash(value):
                found.append(_invalid("not_hashed", f"user_data.{name} must be SHA-256 in lower-case hex"))
            elif value == EMPTY_HASH:
                found.append(warning("empty_hash", f"user_data.{name} is the hash of an empty string"))
    for name in CLEAR:
        if name in given and (not isinstance(user[name], str) or looks_hashed(user[name])):
            found.append(_invalid("hashed", f"user_data.{name} must be a clear string"))
    for value in values_of(user["external_id"]) if "external_id" in given else ():
        if not isinstance(value, str):
            found.append(_invalid("external_id", "user_data.external_id must be a string or a list of strings"))
    if "client_ip_address" in given and not is_address(user["client_ip_address"]):
        found.append(_invalid("client_ip_address", "user_data.client_ip_address is not an IP address"))
    if event.get("action_source") == "website" and "client_user_agent" not in given:
        found.append(warning("client_user_agent", "website events need user_data.client_user_agent"))
    found += [warning("empty_field", f"user_data.{name} is empty; leave it out") for name in user.keys() - given]
    unknown = given - {*HASHED, *CLEAR, "external_id"}
    found += [warning("unknown_field", f"{name} is not a field of user_data") for name in unknown]
    return found + _cookies(user, given, now)


def _cookies(user: dict[str, Any], given: frozenset[str], now: float) -> list[Finding]:
    found = []
    if "fbp" in given and not _FBP.fullmatch(str(user["fbp"])):
        found.append(warning("fbp", "user_data.fbp is not fb.1.{ms}.{random}"))
    if "fbc" in given:
        match = _FBC.fullmatch(str(user["fbc"]))
        if match is None:
            found.append(_invalid("fbc", "user_data.fbc is not fb.{index}.{13-digit ms}.{fbclid}", 2804001))
        elif not now - 90 * 86400 <= int(match[1]) / 1000 <= now + 86400:
            found.append(warning("fbc_time", "the click time in user_data.fbc is in the future or over 90 days old"))
    return found


def _custom(event: dict[str, Any]) -> list[Finding]:
    custom = event.get("custom_data", {})
    if not isinstance(custom, dict):
        return [_invalid("custom_data", "custom_data must be an object")]
    found = []
    value, currency = custom.get("value"), custom.get("currency")
    if value is None and event.get("event_name") == "Purchase":
        found.append(_invalid("purchase_value", "Purchase needs custom_data.value", 2804009))
    if value is not None and not is_number(value):
        found.append(_invalid("value", "custom_data.value must be a number"))
    if currency in (None, "") and (value is not None or event.get("event_name") == "Purchase"):
        found.append(_invalid("currency_missing", "a value needs custom_data.currency", 2804023))
    elif currency is not None and (not isinstance(currency, str) or currency.upper() not in CURRENCIES):
        found.append(_invalid("currency", f"currency {currency!r} is not supported", 2804011))
    contents = custom.get("contents", [])
    if not isinstance(contents, list) or not all(isinstance(item, dict) and item.get("id") for item in contents):
        found.append(_invalid("contents_id", "every item of custom_data.contents needs an id", 2804008))
    return found


def _accepted(index: int, event: dict[str, Any]) -> Accepted:
    event_id = event.get("event_id") or None
    name = event["event_name"]
    keys = (((name, event_id), DEDUP_SECONDS),) if event_id else ()
    return Accepted(name, event_id, float(event["event_time"]), event, index, keys)


def _refusal(finding: Finding, findings: tuple[Finding, ...], mode: Mode) -> Verdict:
    status = 500 if mode.mode == "misleading_status" else 0
    return Verdict(metaerrors.answer(finding, status, _trace()), (), findings)


def _invalid(rule: str, text: str, subcode: int = 0) -> Finding:
    return Finding(rule, text, 100, subcode, metaerrors.TITLES.get(subcode, "Invalid parameter"))


def _no_object(pixel: str) -> Finding:
    text = (
        f"Unsupported post request. Object with ID '{pixel}' does not exist, cannot be loaded due to missing "
        "permissions, or does not support this operation"
    )
    return Finding("pixel", text, 100, 33)


def _trace() -> str:
    return f"Atrace{next(_traces):08d}"
