"""Lines of COPY text."""

from __future__ import annotations

import msgspec
import pytest

from tests.unit.recorder.model import entry
from tracker.clicklog import KIND_CLICK
from tracker.recorder import rows
from tracker.recorder.geo import Geo


def test_a_line_has_a_field_for_every_column() -> None:
    tail = rows.click_tail(entry(1, KIND_CLICK, None, 5, spilled=False, at_ms=1_795_300_000_123), Geo())
    line = rows.click_line(tail, 3, 1_795_300_000_999, True)
    fields = dict(zip(rows.CLICK_COLUMNS, line.removesuffix("\n").split("\t"), strict=True))
    assert fields["gross_clicks"] == "3"
    assert fields["clicked_at"] == "2026-11-21T22:26:40.123+00:00"
    assert fields["last_visit_at"] == "2026-11-21T22:26:40.999+00:00"
    assert (fields["spilled"], fields["is_bot"], fields["inventory_link_id"]) == ("t", "f", "5")
    assert fields["ecid"] == fields["country"] == ""


def test_what_would_break_a_line_is_escaped_and_nul_left_out() -> None:
    assert rows.join(("a\tb", "c\\d", "e\nf", "g\rh", "i\x00j", "")) == "a\\tb\tc\\\\d\te\\nf\tg\\rh\tij\t"
    assert rows.join(("plain", "")) == "plain\t"
    shifted = msgspec.structs.replace(entry(1, KIND_CLICK, None, 5, spilled=False, at_ms=0), visitor="a\tb")
    assert rows.click_tail(shifted, Geo()).count("\t") == len(rows.CLICK_COLUMNS) - 4


@pytest.mark.parametrize(
    ("ip", "stored"),
    [
        ("8.8.8.8", "8.8.8.8"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:8.8.8.8", "::ffff:8.8.8.8"),
        ("fe80::1%eth0", ""),
        ("8.8.8", ""),
        ("010.8.8.8", ""),
        ("8.8.8.8/24", ""),
        ("8.8.8.8\x00", ""),
        ("٨.8.8.8", ""),
        ("", ""),
    ],
)
def test_only_addresses_are_stored_as_such(ip: str, stored: str) -> None:
    assert rows.address(ip) == stored


def test_arrays_are_quoted() -> None:
    assert rows.text_array(("ecid", 'a"b', "c\\d", "e,f", "")) == '{"ecid","a\\"b","c\\\\d","e,f",""}'


def test_times_keep_their_milliseconds() -> None:
    assert rows.timestamp(0) == "1970-01-01T00:00:00.000+00:00"
    assert rows.timestamp(1_795_300_000_001) == "2026-11-21T22:26:40.001+00:00"
    assert rows.moment(1_795_300_000_001).microsecond == 1000
