"""What ad platforms are told of a click: the facts as they are read, and what may stand in a log unmasked."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbacks.destinations import matching
from postbacks.destinations.matching import Known, harmless
from postbacks.destinations.meta import Facts
from postbacks.redaction import harmless_urls, redact
from tests.unit.postbacks.clicks import CLICKED, FACTS, NOW

PAGE = "https://go.example/go/01JD8Z5T9Q4M6X2B7V3K1C0RWA"
AGENT = "Instagram 300.0 (iPhone14,5; iOS 17_1; en_US; en; scale=3.00; 1170x2532)"


def written(*events: Known) -> bytes:
    return msgspec.json.encode(
        [[one.landing_url, one.user_agent, one.referrer, one.external_click_id] for one in events]
    )


def test_facts_read_from_json_are_those_read_from_a_mapping() -> None:
    decoded = msgspec.json.decode(msgspec.json.encode(FACTS), type=Facts)
    assert decoded == msgspec.convert(FACTS, Facts)
    assert (decoded["_ip"], decoded["fbclid"], decoded["_fbc"]) == (FACTS["_ip"], FACTS["fbclid"], "")
    for name in ("conversion_id", "told"):
        with pytest.raises(KeyError):
            decoded[name]


@pytest.mark.parametrize(
    ("fbclid", "click_ms", "made"),
    [
        ("IwAR0abc", str(int(CLICKED.timestamp() * 1000)), True),
        ("IwAR0a-b_c", str(int(CLICKED.timestamp() * 1000)), True),
        ("IwAR0 abc", str(int(CLICKED.timestamp() * 1000)), False),
        (".IwAR0", str(int(CLICKED.timestamp() * 1000)), False),
        ("IwAR0abc", "1795340", False),
        ("IwAR0abc", "not a time yet", False),
        ("", str(int(CLICKED.timestamp() * 1000)), False),
    ],
)
def test_a_click_id_is_made_of_a_well_formed_fbclid_and_time(fbclid: str, click_ms: str, made: bool) -> None:
    found = matching.fbc("", fbclid, click_ms, NOW.timestamp())
    assert found == (f"fb.1.{click_ms}.{fbclid}" if made else None)


@pytest.mark.parametrize("text", ["203.0.113.7", "2001:db8::1", "::ffff:203.0.113.7"])
def test_addresses_go_out_as_they_came(text: str) -> None:
    assert matching.address(Known(ip=text)) == text


@pytest.mark.parametrize(
    "text", ["", "203.0.113", "203.0.113.07", "fe80::1%eth0", "a.b.c.d", "203.0.113.7 ", "1.2.3.4\x00"]
)
def test_what_is_no_address_is_left_out(text: str) -> None:
    assert matching.address(Known(ip=text)) is None


@pytest.mark.parametrize(
    "text", ["", "https://", "https:///path", "ftp://h/", "https://h/a b", " https://h/", "https://h/\n", "HTTP://h"]
)
def test_what_is_no_page_is_left_out(text: str) -> None:
    assert matching.page(Known(landing_url=text)) is None
    assert matching.referrer(text) is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"landing_url": f"{PAGE}?ecid=a&fbclid=b&utm_source=c"}, True),
        ({"landing_url": f"{PAGE}?ecid=a&token=hush"}, False),
        ({"landing_url": f"{PAGE}?ecid=a&next=/x?password=hush"}, False),
        ({"landing_url": f"{PAGE}&secret=hush"}, False),
        ({"user_agent": AGENT}, True),
        ({"user_agent": "Agent token=hush"}, False),
        ({"referrer": "https://l.example/?token=hush"}, False),
        ({"external_click_id": "E.C.P?token=hush"}, False),
    ],
)
def test_batches_with_something_named_like_a_secret_are_found(changes: dict[str, Any], expected: bool) -> None:
    plain = Known(landing_url=f"{PAGE}?ecid=a==", user_agent="Mozilla/5.0", referrer="https://l.example/")
    events = [plain, msgspec.structs.replace(plain, **changes), plain]
    assert harmless(events, written(*events)) is expected


words = st.text(alphabet="abkey=&?./:#%-tokensig", max_size=30)


@given(st.lists(words, min_size=1, max_size=4))
def test_urls_called_harmless_have_nothing_to_mask(texts: list[str]) -> None:
    urls = "\n".join(f"https://h/{text}" for text in texts)
    if harmless_urls(urls):
        assert redact(urls) == urls
