"""What ad platforms are told of a click: the facts as they are read, and what may stand in a log unmasked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbacks.destinations import matching
from postbacks.destinations.base import Told
from postbacks.destinations.meta import Meta
from postbacks.redaction import harmless_urls, redact
from tests.unit.postbacks.clicks import CLICKED, NOW

PAGE = "https://go.example/go/01JD8Z5T9Q4M6X2B7V3K1C0RWA"
AGENT = "Instagram 300.0 (iPhone14,5; iOS 17_1; en_US; en; scale=3.00; 1170x2532)"


def told(*facts: dict[str, str]) -> Told:
    count = len(facts)
    columns = {name: [one.get(name, "") for one in facts] for name in Meta.reads}
    return Told([f"e{n}" for n in range(count)], ["click"] * count, [0.0] * count, columns)


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
    assert matching.addresses([text]) == [text]


@pytest.mark.parametrize(
    "text", ["", "203.0.113", "203.0.113.07", "fe80::1%eth0", "a.b.c.d", "203.0.113.7 ", "1.2.3.4\x00"]
)
def test_what_is_no_address_is_left_out(text: str) -> None:
    assert matching.addresses([text, "203.0.113.7"]) == [None, "203.0.113.7"]


@pytest.mark.parametrize(
    "text", ["", "https://", "https:///path", "ftp://h/", "https://h/a b", " https://h/", "https://h/\n", "HTTP://h"]
)
def test_what_is_no_page_is_left_out(text: str) -> None:
    assert matching.pages([PAGE, text]) == [PAGE, None]
    assert matching.referrer(text) is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"_landing_url": f"{PAGE}?ecid=a&fbclid=b&utm_source=c"}, True),
        ({"_landing_url": f"{PAGE}?ecid=a&token=hush"}, False),
        ({"_landing_url": f"{PAGE}?ecid=a&next=/x?password=hush"}, False),
        ({"_landing_url": f"{PAGE}&secret=hush"}, False),
        ({"_landing_url": f"{PAGE}/our-own"}, False),
        ({"_user_agent": AGENT}, True),
        ({"_user_agent": "Agent token=hush"}, False),
        ({"_user_agent": "Agent our-own"}, False),
        ({"_user_agent": 'Agent {"token": 7}'}, False),
        ({"_landing_url": f'{PAGE}?data={{"token":"hush"}}'}, False),
        ({"_referrer": 'https://l.example/{"token":"hush"}'}, False),
        ({"_referrer": "https://l.example/?token=hush"}, False),
        ({"_fbc": "fb.1.1795330000000.x=hush"}, False),
        ({"fbclid": "our-own"}, False),
        ({"external_click_id": "E.C.P?token=hush"}, True),
    ],
)
def test_batches_with_something_like_a_secret_are_found(changes: dict[str, str], expected: bool) -> None:
    plain = {"_landing_url": f"{PAGE}?ecid=a==", "_user_agent": "Mozilla/5.0", "_referrer": "https://l.example/"}
    assert matching.harmless(told(plain, plain | changes, plain), ("our-own", "abc")) is expected


texts = st.one_of(
    st.text(max_size=8),
    st.sampled_from([
        "fb.1.1795330000000.1234", "fb.1.1795330000000.1234.AQ", "fb.1.1795330000000.", "IwAR0abc", "a-b_c", "a.b", "a b", "\n", "é",
        "1795330000000", "1795330000001", "17953300000", "１７９５３３００００００0", "https://h.example/", "http:/", "https://h/\u2003",
        PAGE, "fb.1.1795330000000.IwAR0abc", "\ud800",
    ]),
)  # fmt: skip


@given(st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=6))
def test_many_at_once_come_out_as_each_alone(rows: list[tuple[str, str, str]]) -> None:
    first, second, third = ([row[place] for row in rows] for place in range(3))
    now = 1795330060.0
    singly = [matching.fbc(*row, now) for row in rows]
    assert matching.fbcs(first, second, third, now) == singly
    assert matching.fbcs([""] * len(rows), second, third, now) == [matching.fbc("", *row[1:], now) for row in rows]
    for many in (matching.fbps, matching.pages, matching.external_ids, matching.addresses):
        assert many(first) == [one for text in first for one in many([text])]


words = st.text(alphabet='abkey=&?./:#%-"tokensig', max_size=30)


@given(st.lists(words, min_size=1, max_size=4))
def test_urls_called_harmless_have_nothing_to_mask(texts: list[str]) -> None:
    urls = "\n".join(f"https://h/{text}" for text in texts)
    if harmless_urls(urls):
        assert redact(urls) == urls
