"""Reading fields."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tracker.providers import fields
from tracker.providers.onlyfansapi.client import decoder


@pytest.mark.parametrize(
    ("value", "cents"),
    [("19.99", 1999), ("0.1", 10), ("1.005", 101), ("13.6", 1360), ("8", 800), ("1e2", 10000), ("-5.5", -550)],
)
def test_cents_are_exact_from_json_text(value: str, cents: int) -> None:
    assert fields.cents(decoder.decode(value)) == cents


@pytest.mark.parametrize("value", [None, True, "", "abc", "NaN", Decimal("Infinity"), 10**20, [], 1.5])
def test_what_is_no_amount_is_none(value: Any) -> None:
    assert fields.cents(value) is None


def test_net_comes_from_the_feed_else_from_the_fee_else_is_eighty_percent() -> None:
    assert fields.net_of(1999, Decimal("15.99"), Decimal("4")) == 1599
    assert fields.net_of(1999, None, Decimal("3.5")) == 1649
    assert fields.net_of(1999, None, None) == 1599


@pytest.mark.parametrize(
    ("value", "fan"),
    [
        (310112051, "310112051"),
        ("310112051", "310112051"),
        (" 7 ", "7"),
        (0, ""),
        (-1, ""),
        (True, ""),
        ("٣", ""),
        ("1" * 21, ""),
        (None, ""),
        ({}, ""),
    ],
)
def test_fan_ids(value: Any, fan: str) -> None:
    assert fields.fan_id(value) == fan


def test_moments() -> None:
    at = datetime(2026, 11, 22, 9, 59, 47, tzinfo=UTC)
    for text in ("2026-11-22 09:59:47", "2026-11-22T09:59:47Z", "2026-11-22T10:59:47+01:00"):
        assert fields.moment(text) == at
    for bad in ("", "yesterday", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z", 5, None):
        assert fields.moment(bad) is None


def test_text_holds_nothing_postgresql_cannot() -> None:
    assert fields.text("a\0b\ud800c") == "ab?c"
    assert fields.plain('Tip from <a href="x">Zoë &amp; Bo</a>') == "Tip from Zoë & Bo"
    assert len(fields.text("x" * 5000)) == fields.LONGEST_TEXT
