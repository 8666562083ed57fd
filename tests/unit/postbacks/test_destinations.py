"""Configuring a postback, and judging what came back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from postbacks.destinations import postback, registry
from postbacks.destinations.base import Item
from postbacks.egress import Answer
from postbacks.facts import SAMPLE
from postbacks.schema import ConfigError
from postbacks.verdicts import Verdict

URL = "https://h.example/p"
ITEM = Item("e1", "new_transaction", datetime(2026, 1, 31, 13, 37, tzinfo=UTC), SAMPLE)


@pytest.mark.parametrize(
    ("config", "field", "position"),
    [
        ({}, "url", None),
        ({"url": 5}, "url", None),
        ({"url": "https://h.example/{nope}"}, "url", 18),
        ({"url": URL, "method": "PUT"}, "method", None),
        ({"url": URL, "methods": "GET"}, "methods", None),
        ({"url": URL, "body": "{}"}, "body", None),
        ({"url": URL, "method": "POST", "body": '{"a": {nope}}'}, "body", 6),
        ({"url": URL, "method": "POST", "body": "a={nope}", "body_format": "form"}, "body", 2),
        ({"url": URL, "headers": {"X-Id": 5}}, "headers[...]", None),
        ({"url": URL, "headers": {"X-Id": "a\r\nb"}}, "headers.X-Id", 1),
        ({"url": URL, "headers": {"X Id": "a"}}, "headers.'X Id'", None),
        ({"url": URL, "headers": {"Host": "internal"}}, "headers.Host", None),
        ({"url": URL, "headers": {"transfer-encoding": "chunked"}}, "headers.transfer-encoding", None),
        ({"url": URL, "headers": {f"X-{n}": "a" for n in range(21)}}, "headers", None),
    ],
)
def test_refused_configurations_name_the_field(config: dict[str, Any], field: str, position: int | None) -> None:
    with pytest.raises(ConfigError) as refused:
        registry.load("postback", config)
    assert (refused.value.field, refused.value.position) == (field, position)
    assert field in str(refused.value)


def test_unknown_kind() -> None:
    with pytest.raises(ConfigError, match=r"unknown kind 'fax': use one of .*postback"):
        registry.load("fax", {})


def test_sealed_headers_are_literal_and_checked() -> None:
    destination = postback.load({"url": URL}, {"X-Token": "{not a template}"})
    assert destination.render([ITEM]).headers["X-Token"] == "{not a template}"
    with pytest.raises(ConfigError) as refused:
        postback.load({"url": URL}, {"X-Token": "a\nb"})
    assert refused.value.field == "secrets.X-Token"


def test_form_body() -> None:
    config = {"url": URL, "method": "POST", "body": "id={conversion_id}&who={fan_onlyfans_name}", "body_format": "form"}
    request = postback.load(config, {}).render([ITEM])
    assert request.body == b"id=cnv_sample_0001&who=Max%20%26%20Moritz"
    assert request.headers == {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (200, {}, Verdict("delivered", "200 Why")),
        (204, {}, Verdict("delivered", "204 Why")),
        (400, {}, Verdict("transient", "400 Why")),
        (404, {}, Verdict("transient", "404 Why")),
        (500, {"Retry-After": "7"}, Verdict("transient", "500 Why", 7.0)),
        (503, {"Retry-After": "garbage"}, Verdict("transient", "503 Why")),
        (429, {"Retry-After": "7"}, Verdict("throttled", "429 Why", 7.0, overloaded=True)),
        (302, {}, Verdict("transient", "302 Why; redirects are not followed: use the final address")),
        (410, {}, Verdict("permanent", "410 Why; the receiver wants no more of these", halts="disabled")),
    ],
)
def test_verdicts(status: int, headers: dict[str, str], expected: Verdict) -> None:
    assert postback.load({"url": URL}, {}).judge([ITEM], Answer(status, "Why", headers, b"")) == [expected]


def test_a_2xx_counts_even_when_its_body_breaks_off() -> None:
    [verdict] = postback.load({"url": URL}, {}).judge([ITEM], Answer(200, "OK", {}, b"x", "the body broke off"))
    assert (verdict.outcome, verdict.words) == ("delivered", "200 OK (the body broke off)")
