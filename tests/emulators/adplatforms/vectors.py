"""Right events and requests of each platform, for tests to spoil."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from loadtests.emulators.adplatforms import Call

NOW = 1_795_000_000.0
HASH = "973dfe463ec85785f5f95af5ba3906eedb2d931c24e69824a89ea65dba4e813b"
AGENT = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X)"
FBC = f"fb.1.{int(NOW) * 1000 - 3_600_000}.IwAR2F4-dbP0l7Mn1IawQQGCINEz7PYXQvwjNwB_qa2ofrHyiLjcbCRxTDMgk"

META: dict[str, Any] = {
    "event_name": "Purchase",
    "event_time": int(NOW) - 60,
    "event_id": "conv_1",
    "action_source": "website",
    "event_source_url": "https://go.example/go/01K",
    "user_data": {
        "client_ip_address": "203.0.113.7",
        "client_user_agent": AGENT,
        "fbc": FBC,
        "fbp": "fb.1.1596403881668.1116446470",
        "external_id": HASH,
        "country": HASH,
    },
    "custom_data": {"value": 12.5, "currency": "USD"},
}
TIKTOK: dict[str, Any] = {
    "event": "CompletePayment",
    "event_time": int(NOW) - 60,
    "event_id": "conv_1",
    "user": {"ttclid": "E.C.P.abc", "ip": "203.0.113.7", "user_agent": AGENT, "external_id": HASH, "country": "us"},
    "page": {"url": "https://go.example/go/01K"},
    "properties": {"value": 12.5, "currency": "USD"},
}
SNAPCHAT: dict[str, Any] = {
    "event_name": "PURCHASE",
    "event_time": int(NOW) - 60,
    "event_id": "conv_1",
    "action_source": "WEB",
    "event_source_url": "https://go.example/go/01K",
    "user_data": {
        "client_ip_address": "2001:db8::7",
        "client_user_agent": AGENT,
        "sc_click_id": "8c2a4f9e-0d7a-4f0a-9c9e-3c2a5e6a7b11",
    },
    "custom_data": {"value": 12.5, "currency": "USD"},
}
_GONE = object()
GONE: Any = _GONE
"""A change that removes the field."""


def changed(event: Mapping[str, Any], /, **changes: Any) -> dict[str, Any]:
    """A copy with fields set by path, `user_data__em=...`; GONE removes one."""
    made = copy.deepcopy(dict(event))
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = made
        for parent in parents:
            place = place[parent]
        if value is GONE:
            place.pop(last, None)
        else:
            place[last] = value
    return made


def meta_call(*events: Any, version: str = "v25.0", pixel: str = "1234567890", **top: Any) -> Call:
    """A JSON request to Meta with the token in the body."""
    body = {"data": list(events), "access_token": "test-token", **top}
    return _json(f"/{version}/{pixel}/events", body)


def tiktok_call(*events: Any, token: str = "test-token", path: str = "/open_api/v1.3/event/track/", **top: Any) -> Call:
    """A JSON request to TikTok."""
    body = {"event_source": "web", "event_source_id": "C4PIXEL", "data": list(events), **top}
    body = {name: value for name, value in body.items() if value is not GONE}
    call = _json(path, body)
    return Call(call.method, path, {}, {**call.headers, "access-token": token}, call.body)


def snapchat_call(*events: Any, token: str = "test-token", path: str = "/v3/px-1/events") -> Call:
    """A JSON request to Snapchat."""
    call = _json(path, {"data": list(events)})
    return Call(call.method, path, {"access_token": token}, call.headers, call.body)


def _json(path: str, body: dict[str, Any]) -> Call:
    return Call("POST", path, {}, {"content-type": "application/json"}, json.dumps(body).encode())
