"""The Location header is quoted by us: one header, ASCII, http(s) only."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.edge.location import location


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://onlyfans.com/a/c1", b"https://onlyfans.com/a/c1"),
        ("https://x.com/a%2541?b=%0d%0a", b"https://x.com/a%2541?b=%0d%0a"),
        ("https://x.com/a b\r\nSet-Cookie: y", b"https://x.com/a%20b%0D%0ASet-Cookie:%20y"),
        ('https://x.com/\u00e4\\"<>', b"https://x.com/%C3%A4%5C%22%3C%3E"),
        (" https://x.com/ ", b"https://x.com/"),
        ("HTTPS://x.com/", b"HTTPS://x.com/"),
        ("//evil.example", None),
        ("javascript:alert(1)", None),
        ("/relative", None),
        ("", None),
    ],
)
def test_location(url: str, expected: bytes | None) -> None:
    assert location(url) == expected


@given(st.text())
def test_whatever_is_stored_leaves_as_plain_ascii(text: str) -> None:
    quoted = location("https://x.com/" + text)
    assert quoted is not None
    assert re.fullmatch(rb"https://[!-~]+", quoted)
    assert not set(quoted) & set(b'"<>\\^`{|}')
