"""Country and device of real addresses and user agents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import maxminddb
import pytest

from tracker.recorder import device as device_module
from tracker.recorder.device import Device, device
from tracker.recorder.geo import COUNTRIES, Geo, country_of

SAFARI = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
CHROME = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("user_agent", "expected"),
    [
        (
            f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) {SAFARI} Mobile/15E148 Instagram 334.0.4.32.98"
            " (iPhone14,5; iOS 17_5_1; en_US; en; scale=3.00; 1170x2532; 609775437)",
            Device("Instagram", "334.0.4", "iOS", "mobile"),
        ),
        (
            f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) {SAFARI} Mobile/21F79 [FBAN/FBIOS;FBAV/466.0.0.45.109;"
            "FBBV/601;FBDV/iPhone13,2;FBMD/iPhone;FBSN/iOS;FBSV/17.5;FBSS/3;FBID/phone;FBLC/en_US;FBOP/5]",
            Device("Facebook", "466.0.0", "iOS", "mobile"),
        ),
        (
            f"Mozilla/5.0 (Linux; Android 14; Pixel 7 Build/AP1A; wv) {CHROME} Version/4.0 Chrome/125.0.6422.113"
            " Mobile Safari/537.36 trill_340204 BytedanceWebview/d8a21c6",
            Device("TikTok", "", "Android", "mobile"),
        ),
        (
            f"Mozilla/5.0 (Linux; Android 10; K) {CHROME} Chrome/125.0.0.0 Mobile Safari/537.36",
            Device("Chrome Mobile", "125.0.0", "Android", "mobile"),
        ),
        (
            f"Mozilla/5.0 (Linux; Android 13; SM-X700) {CHROME} Chrome/124.0.0.0 Safari/537.36",
            Device("Chrome", "124.0.0", "Android", "tablet"),
        ),
        (
            f"Mozilla/5.0 (iPad; CPU OS 17_4 like Mac OS X) {SAFARI} Version/17.4 Mobile/15E148 Safari/604.1",
            Device("Mobile Safari", "17.4", "iOS", "tablet"),
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:126.0) Gecko/20100101 Firefox/126.0",
            Device("Firefox", "126.0", "Windows", "desktop"),
        ),
        (
            f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {SAFARI} Version/17.4 Safari/605.1.15",
            Device("Safari", "17.4", "Mac OS X", "desktop"),
        ),
        (
            f"Mozilla/5.0 (X11; Linux x86_64) {CHROME} Chrome/125.0.0.0 Safari/537.36",
            Device("Chrome", "125.0.0", "Linux", "desktop"),
        ),
        ("facebookexternalhit/1.1", Device("FacebookBot", "1.1", "", "bot")),
        ("curl/8.5.0", Device("curl", "8.5.0", "", "other")),
        ("", Device("", "", "", "other")),
        ("x" * 5000, Device("", "", "", "other")),
        ("\x00\u202e😀" * 300, Device("", "", "", "other")),
    ],
)
def test_devices(user_agent: str, expected: Device) -> None:
    assert device(user_agent) == expected


def test_an_android_app_without_a_browser_is_not_a_tablet() -> None:
    found = device("Instagram 330.0.0.40.92 Android (34/14; 420dpi; 1080x2123; samsung; SM-S911B; dm1q; qcom; en_US)")
    assert (found.os, found.device_type) == ("Android", "mobile")


def test_the_edge_knows_a_bot_by_more_than_its_name() -> None:
    browser = f"Mozilla/5.0 (X11; Linux x86_64) {CHROME} Chrome/125.0.0.0 Safari/537.36"
    assert device(browser, is_bot=True) == Device("Chrome", "125.0.0", "Linux", "bot")
    assert device("", is_bot=True).device_type == "bot"


def test_what_is_remembered_is_bounded() -> None:
    assert device_module._device.cache_info().maxsize == 20_000
    device("a" * 512 + "one")
    before = device_module._device.cache_info().misses
    device("a" * 512 + "two")
    assert device_module._device.cache_info().misses == before


def test_built_in_countries() -> None:
    geo = Geo()
    assert geo.country("8.8.8.8") == "US"
    assert geo.country("91.12.3.4") == "DE"
    assert geo.country("2001:4860:4860::8888") == "US"
    assert [geo.country(ip) for ip in ("10.0.0.1", "127.0.0.1", "::1", "")] == ["", "", "", ""]


def test_a_trusted_header_wins_when_it_names_a_country() -> None:
    geo = Geo()
    assert geo.country("8.8.8.8", "FR") == "FR"
    assert geo.country("8.8.8.8", "gb") == "GB"
    assert geo.country("", "XK") == "XK"
    assert [geo.country("8.8.8.8", value) for value in ("XX", "T1", "USA", "<b", "EU", "\uff35\uff33")] == ["US"] * 6
    assert len(COUNTRIES) == 250


def mmdb(record: Any) -> bytes:
    """A MaxMind-format database that answers `record` (strings and maps) for every address."""

    def encode(value: Any) -> bytes:
        match value:
            case dict():
                pairs = b"".join(encode(key) + encode(item) for key, item in value.items())
                return bytes([7 << 5 | len(value)]) + pairs
            case str():
                return bytes([2 << 5 | len(value)]) + value.encode()
            case list():
                return bytes([len(value), 4]) + b"".join(map(encode, value))
            case (size, number):
                kind = {2: bytes([5 << 5 | 2]), 4: bytes([6 << 5 | 4]), 8: bytes([8, 2])}[size]
                return kind + int(number).to_bytes(size, "big")
        raise TypeError(value)

    tree = (1 + 16).to_bytes(3, "big") * 2  # one node; both sides lead to the first record of the data
    about = {
        "node_count": (4, 1),
        "record_size": (2, 24),
        "ip_version": (2, 6),
        "database_type": "Test",
        "languages": ["en"],
        "binary_format_major_version": (2, 2),
        "binary_format_minor_version": (2, 0),
        "build_epoch": (8, 1),
        "description": {"en": "Test"},
    }
    return tree + bytes(16) + encode(record) + b"\xab\xcd\xefMaxMind.com" + encode(about)


@pytest.mark.parametrize("record", [{"country_code": "SE"}, {"country": {"iso_code": "SE"}}])
def test_a_database_file(tmp_path: Path, record: Any) -> None:
    path = tmp_path / "countries.mmdb"
    path.write_bytes(mmdb(record))
    geo = Geo(str(path))
    assert [geo.country(ip) for ip in ("8.8.8.8", "2001:db8::1", "10.0.0.1")] == ["SE"] * 3
    geo.close()
    assert geo.country("8.8.8.8") == "US"


class Database:
    """An operator's database."""

    def __init__(self, record: Any) -> None:
        self.record = record
        self.closed = False

    def get(self, ip: str) -> Any:
        if isinstance(self.record, Exception):
            raise self.record
        return self.record

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("record", "country"),
    [
        ({"country_code": "SE"}, "SE"),
        ({"country": "se"}, "SE"),
        ({"country": {"iso_code": "SE", "names": {"en": "Sweden"}}}, "SE"),
        ({"registered_country": {"iso_code": "SE"}}, "SE"),
        ({"country": {"names": {}}}, "US"),
        ({"country_code": "ZZ"}, "US"),
        (None, "US"),
        (["SE"], "US"),
        (ValueError("an IPv6 address in an IPv4-only database"), "US"),
    ],
)
def test_the_operators_database_overrides(monkeypatch: pytest.MonkeyPatch, record: Any, country: str) -> None:
    database = Database(record)
    monkeypatch.setattr(maxminddb, "open_database", lambda path: database)
    geo = Geo("countries.mmdb")
    assert geo.country("8.8.8.8") == country
    assert geo.country("8.8.8.8", "NO") == "NO"
    geo.close()
    assert database.closed


def test_country_of_other_shapes() -> None:
    assert country_of({"country_code": 5, "country": {"iso_code": None}}) == ""
