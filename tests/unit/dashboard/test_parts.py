"""The pure parts of pages: addresses, periods, numbers, small pictures."""

from __future__ import annotations

from datetime import UTC, date, datetime
from xml.etree import ElementTree

import pytest

from tracker.dashboard import numbers
from tracker.dashboard.address import Address
from tracker.dashboard.forms import Form
from tracker.dashboard.networks import VARIANTS, variant
from tracker.dashboard.pages.door import _inside
from tracker.dashboard.period import PRESETS, ZONES, known_zone, preset_days, read_period
from tracker.dashboard.qr import qr_code
from tracker.dashboard.sparkline import sparkline, thinned

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def asked(**values: str) -> Address:
    return Address("/overview", values)


def test_an_address_changes_one_thing_and_begins_at_the_first_page() -> None:
    where = Address("/overview", {"range": "7d", "search": "a&b", "page": "4"})
    assert where.at(range="30d") == "/overview?range=30d&search=a%26b"
    assert where.at(range=None, search="") == "/overview"
    assert where.hidden("range") == [("search", "a&b")]
    assert where.number("page", 1, 3) == 3
    assert [Address("/", {"page": text}).number("page", 1, 99) for text in ("0", "-1", "1e3", "²", "", "9" * 30)] == [
        1
    ] * 6


@pytest.mark.parametrize(
    ("preset", "first", "last"),
    [
        ("today", date(2026, 3, 1), date(2026, 3, 1)),
        ("yesterday", date(2026, 2, 28), date(2026, 2, 28)),
        ("7d", date(2026, 2, 23), date(2026, 3, 1)),
        ("month", date(2026, 3, 1), date(2026, 3, 1)),
        ("last-month", date(2026, 2, 1), date(2026, 2, 28)),
    ],
)
def test_presets_are_days_of_the_readers_zone(preset: str, first: date, last: date) -> None:
    assert preset_days(preset, NOON.date()) == (first, last)
    period = read_period(asked(range=preset), "", NOON)
    assert (period.first, period.last, period.preset, period.wrong) == (first, last, preset, "")


def test_it_is_tomorrow_already_in_auckland() -> None:
    assert read_period(asked(range="today", zone="Pacific/Auckland"), "", NOON).first == date(2026, 3, 2)
    assert read_period(asked(range="today"), "Pacific/Auckland", NOON).zone == "Pacific/Auckland"
    assert read_period(asked(range="today", zone="Mars/Olympus"), "", NOON).zone == "UTC"


def test_dates_that_came_with_their_preset_are_the_preset() -> None:
    same = read_period(asked(**{"range": "7d", "from": "2026-02-23", "to": "2026-03-01"}), "", NOON)
    other = read_period(asked(**{"range": "7d", "from": "2026-02-22", "to": "2026-03-01"}), "", NOON)
    assert (same.preset, other.preset) == ("7d", "")
    assert other.first == date(2026, 2, 22)


@pytest.mark.parametrize(
    "dates",
    [
        {"from": "yesterday"},
        {"from": "2026-03-01", "to": "2026-02-01"},
        {"from": "0001-01-01", "to": "9999-12-31"},
        {"to": "2026-02-30"},
        {"from": "2014-12-31", "to": "2015-01-05"},
    ],
)
def test_dates_that_cannot_be_say_so_and_show_the_default(dates: dict[str, str]) -> None:
    period = read_period(asked(**dates), "", NOON)
    assert "These dates cannot be" in period.wrong
    assert (period.first, period.last) == preset_days("30d", NOON.date())


def test_steps_keep_charts_readable() -> None:
    assert read_period(asked(range="today"), "", NOON).step == "hour"
    assert read_period(asked(range="90d"), "", NOON).step == "day"
    assert read_period(asked(**{"from": "2024-01-01", "to": "2026-03-01"}), "", NOON).step == "month"
    assert all(read_period(asked(range=preset), "", NOON).preset == preset for preset in PRESETS)
    assert all(known_zone(zone) == zone for zone in ZONES)


def test_numbers_as_people_write_them() -> None:
    assert numbers.count(1234567) == "1,234,567"
    assert numbers.count(None) == numbers.NONE
    assert numbers.money(-123456) == "−$1,234.56"
    assert numbers.percent(0.03123) == "3.12\u202f%"
    assert numbers.duration(9000) == "2\u202fh 30\u202fmin"
    assert numbers.duration(0) == "0\u202fs"
    assert numbers.change(150, 100) == ("+50\u202f%", "up")
    assert numbers.change(99, 100) == ("−1.0\u202f%", "down")
    assert numbers.change(5, 0) == ("new", "up")
    assert numbers.change(None, 4) == (numbers.NONE, "none")
    assert numbers.change(0, 0) == (numbers.NONE, "none")
    assert numbers.host("https://l.facebook.com/l.php?u=1") == "l.facebook.com"
    assert numbers.host("http://[oops") == "http://[oops"
    assert numbers.host("javascript:alert(1)") == "javascript:alert(1)"


def test_a_sparkline_is_an_svg_whatever_the_values() -> None:
    for values in ([], [0], [3, 1, 2], [-5, 5], [0, 0, 0]):
        drawn = ElementTree.fromstring(str(sparkline(values, 'a "label" <b>')))
        assert drawn.attrib["aria-label"] == 'a "label" <b>'
        assert "nan" not in str(sparkline(values)).lower()


def test_a_year_is_drawn_in_as_many_points_as_can_be_seen() -> None:
    assert list(thinned(list(range(96)))) == list(range(96))
    assert thinned([1.0, 3.0] * 96) == [2.0] * 96
    assert len(thinned(list(range(365)))) <= 96


def test_a_qr_code_has_no_style_of_its_own() -> None:
    drawn = str(qr_code("https://go.example.com/go/01KE2JN9RBPAZNYSXKMYHR4JP2", "<the address>"))
    ElementTree.fromstring(drawn)
    assert "style" not in drawn
    assert "&lt;the address&gt;" in drawn


def test_every_network_gets_its_macros() -> None:
    link = "https://go.example.com/go/X"
    assert variant("tiktok").address(link).startswith(f"{link}?ttclid=__CLICKID__&")
    assert variant("creatortraffic").address(link) == f"{link}?ecid={{clickid}}&utm_source=creatortraffic"
    assert variant("nobody").address(link) == link
    assert len({one.name for one in VARIANTS}) == len(VARIANTS)


@pytest.mark.parametrize(
    ("wish", "where"),
    [
        ("/links?search=a", "/links?search=a"),
        ("", "/overview"),
        ("//evil.example", "/overview"),
        ("/\\evil.example", "/overview"),
        ("https://evil.example", "/overview"),
        ("javascript:alert(1)", "/overview"),
        ("/links\r\nSet-Cookie: a=b", "/overview"),
        ("/a\\..\\b", "/overview"),
    ],
)
def test_log_in_leads_nowhere_else(wish: str, where: str) -> None:
    assert _inside(wish) == where


def test_a_forms_mistakes_stand_at_their_fields_or_above() -> None:
    form = Form({"name": [" A "]}).amiss({"name": ["Too short."], "window": ["Too long.", "Odd."]}, ("name",))
    assert (form.get("name"), form.words("name")) == ("A", "Too short.")
    assert form.words("") == "window: Too long. window: Odd."
