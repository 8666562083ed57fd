"""Cells a spreadsheet may be given."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from tracker.exports.cells import defused, dollars, moment


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        " =1",
        "\u00a0=1",
        "\uff1d1",
        '=HYPERLINK("http://x")',
        "\x00=1",
    ],
)
def test_what_would_run_is_text(text: str) -> None:
    assert defused(text).startswith("'")


@pytest.mark.parametrize("text", ["", "plain", "a=b", "1+1", "'quoted'", "https://example.com/?a=-1", "日本"])
def test_what_would_not_run_stays(text: str) -> None:
    assert defused(text) == text


def test_control_characters_are_replaced() -> None:
    assert defused("a\x00b\x0bc\ud800d\ufffe") == "a\ufffdb\ufffdc\ufffdd\ufffd"
    assert defused("a\tb\nc") == "a\tb\nc"


@pytest.mark.parametrize(
    ("cents", "text"),
    [(0, "0.00"), (1, "0.01"), (-1, "-0.01"), (1234, "12.34"), (-123456789012345, "-1234567890123.45")],
)
def test_money_is_exact(cents: int, text: str) -> None:
    assert dollars(cents) == text


def test_times_are_iso_in_the_zone_asked_for() -> None:
    at = datetime(2026, 7, 1, 12, 0, 0, 5000, tzinfo=UTC)
    assert moment(at, UTC) == "2026-07-01T12:00:00.005Z"
    assert moment(at, ZoneInfo("Europe/Berlin")) == "2026-07-01T14:00:00.005+02:00"
    assert moment(at, ZoneInfo("Asia/Kathmandu")) == "2026-07-01T17:45:00.005+05:45"
