"""Fingerprints: keyed, rotated daily, indifferent to header order; the cookie's attributes."""

from __future__ import annotations

from tracker.edge.visitor import DAY_MS, Fingerprints, VisitorCookie

NOON = 20_000 * DAY_MS + DAY_MS // 2
HOUR = 3_600_000
HEADERS = {
    b"user-agent": b"UA", b"accept-language": b"de", b"sec-ch-ua": b'"Chromium";v="125"', b"sec-ch-ua-platform": b'"Android"',
}  # fmt: skip


def test_same_request_same_day_same_print_whatever_the_order_of_headers() -> None:
    prints = Fingerprints(b"k" * 32)
    turned = dict(reversed(HEADERS.items()))
    assert prints.of(HEADERS, b"\x01\x02\x03\x04", NOON, HOUR) == prints.of(turned, b"\x01\x02\x03\x04", NOON + 5, HOUR)


def test_each_part_counts() -> None:
    prints = Fingerprints(b"k" * 32)
    base = prints.of(HEADERS, b"net", NOON, HOUR)[0]
    others = [prints.of(HEADERS | {name: b"else"}, b"net", NOON, HOUR)[0] for name in HEADERS]
    others += [prints.of(HEADERS, b"ten", NOON, HOUR)[0], Fingerprints(b"K" * 32).of(HEADERS, b"net", NOON, HOUR)[0]]
    assert len({base, *others}) == len(others) + 1


def test_the_key_changes_daily_and_yesterdays_is_tried_while_it_can_match() -> None:
    prints = Fingerprints(b"k" * 32)
    today, _ = prints.of(HEADERS, b"net", NOON, HOUR)
    midnight = NOON + DAY_MS // 2
    tomorrow, before = prints.of(HEADERS, b"net", midnight + HOUR, HOUR)
    assert before == today
    assert tomorrow != today
    assert prints.of(HEADERS, b"net", midnight + HOUR + 1, HOUR) == (tomorrow, "")


def test_huge_headers_are_bounded() -> None:
    prints = Fingerprints(b"k" * 32)
    long = prints.of({b"user-agent": b"x" * 100_000}, b"n", NOON, HOUR)
    assert long == prints.of({b"user-agent": b"x" * 600}, b"n", NOON, HOUR)


def test_cookie() -> None:
    cookie = VisitorCookie("cbv")
    plain = b"cbv=abc; Max-Age=15552000; Path=/; HttpOnly; SameSite=Lax"
    assert cookie.header("abc", False) == (b"set-cookie", plain)
    assert cookie.header("abc", True) == (b"set-cookie", plain + b"; Secure")
    for secure in (False, True):
        before, after = cookie.parts(secure)
        assert before + b"abc" + after == b"\r\n%b: %b\r\n" % cookie.header("abc", secure)
