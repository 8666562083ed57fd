"""Reading cookies and headers: nothing raises, everything is capped."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.edge.request import fold_headers, is_speculative, parse_cookies
from tracker.query import clean

VISITOR = "01k5zzzzzzzzzzzzzzzzzzzzzz"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_cookie_header_is_read_without_harm(raw: bytes) -> None:
    truncated: list[str] = []
    visitor, platform = parse_cookies(b"cbv=" + raw, b"cbv", truncated)
    assert visitor == "" or len(visitor) == 26
    assert all(clean(value) == value and len(value) <= 512 for value in platform)


def test_cookies_are_read_and_a_visitor_must_look_like_ours() -> None:
    header = f"a=b; _fbp=fb.1.2; cbv=nonsense; _ttp=t; cbv={VISITOR}; _scid=s; _fbc=c".encode()
    assert parse_cookies(header, b"cbv", []) == (VISITOR, ["fb.1.2", "c", "t", "s"])
    assert parse_cookies(f"cbv={VISITOR.upper()}".encode(), b"cbv", [])[0] == ""
    assert parse_cookies(f"cbvx={VISITOR}".encode(), b"cbv", [])[0] == ""


def test_repeated_headers_keep_the_first_and_lists_are_joined() -> None:
    folded = fold_headers(
        [
            (b"user-agent", b"one"), (b"x-forwarded-for", b"1.1.1.1"), (b"user-agent", b"two"),
            (b"x-forwarded-for", b"2.2.2.2"), (b"cookie", b"a=1"), (b"cookie", b"b=2"),
        ]
    )  # fmt: skip
    assert folded == {b"user-agent": b"one", b"x-forwarded-for": b"1.1.1.1,2.2.2.2", b"cookie": b"a=1; b=2"}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (b"sec-purpose", b"prefetch", True),
        (b"sec-purpose", b"prefetch;prerender", True),
        (b"sec-purpose", b"Prerender", True),
        (b"purpose", b"prefetch", True),
        (b"x-purpose", b"preview", True),
        (b"x-purpose", b"prefetch", True),
        (b"x-moz", b"prefetch", True),
        (b"sec-purpose", b"", False),
        (b"x-moz", b"other", False),
        (b"accept", b"prefetch", False),
    ],
)
def test_speculative_loads_are_known_by_their_headers(name: bytes, value: bytes, expected: bool) -> None:
    assert is_speculative({b"host": b"x", name: value}) is expected
