"""Whatever a sender gets wrong is answered, never crashed on, and never both refused and taken."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.emulators.adplatforms import PLATFORMS, Call
from loadtests.emulators.adplatforms.access import Access
from loadtests.emulators.adplatforms.faults import Mode

from .vectors import META, NOW, SNAPCHAT, TIKTOK, changed, meta_call, snapchat_call, tiktok_call

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
PREFERENCE = {"fanId": "12345", "category": "attribution", "preference": "smart_link", "value": 1}
CONVERSION = {"click_id": "c", "event": "subscriber", "conversion_id": "1", "occurred_at": "2026-11-18T09:45:12Z"}


def _plain(path: str, body: Any) -> Call:
    headers = {"content-type": "application/json", "authorization": "Bearer test-token"}
    return Call("POST", path, {}, headers, json.dumps(body).encode())


def _paths(event: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for name, value in event.items():
        found.append(prefix + name)
        if isinstance(value, dict):
            found += _paths(value, f"{prefix}{name}__")
    return found


CASES: dict[str, tuple[dict[str, Any], Callable[..., Call]]] = {
    "meta": (META, meta_call),
    "tiktok": (TIKTOK, tiktok_call),
    "snapchat": (SNAPCHAT, snapchat_call),
    "creatortraffic": (CONVERSION, lambda body: _plain("/api/v1/conversions", body)),
    "onlyautomator": (PREFERENCE, lambda body: _plain("/api/v2/update-preference", body)),
}
FIELDS = [(platform, path) for platform, (event, _) in CASES.items() for path in _paths(event)]


@given(field=st.sampled_from(FIELDS), value=VALUES)
def test_a_field_may_hold_anything(field: tuple[str, str], value: Any) -> None:
    platform, path = field
    event, call_of = CASES[platform]
    call = call_of(changed(event, **{path: value}))
    for mode in ("ok", *PLATFORMS[platform].MODES):
        verdict = PLATFORMS[platform].judge(call, NOW, Access(), Mode(mode))
        assert bool(verdict.accepted) != bool(verdict.refusals)
        assert 200 <= verdict.answer.status <= 500
        json.dumps(verdict.answer.body)


@given(
    platform=st.sampled_from(sorted(PLATFORMS)),
    body=st.binary(max_size=64) | VALUES.map(lambda v: json.dumps(v).encode()),
)
@pytest.mark.parametrize(
    "content_type", ["application/json", "multipart/form-data; boundary=b", "application/x-www-form-urlencoded", ""]
)
def test_a_body_may_be_anything(platform: str, body: bytes, content_type: str) -> None:
    path = CASES[platform][1](CASES[platform][0]).path
    headers = {"content-type": content_type, "authorization": "Bearer test-token", "access-token": "test-token"}
    call = Call("POST", path, {"access_token": "test-token"}, headers, body)
    access = Access()
    assert isinstance(PLATFORMS[platform].pixel_of(call, access), str)
    verdict = PLATFORMS[platform].judge(call, NOW, access)
    assert verdict.accepted == ()
    assert verdict.refusals
