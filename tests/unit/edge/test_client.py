"""Whose address is recorded: faults.md's rule is peer unless trusted, then the rightmost untrusted."""

from __future__ import annotations

import pytest

from tracker.edge.client import ClientAddresses, cdn_country

TRUSTED = ("10.0.0.0/8", "2001:db8:1::/48")


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.7", None, "203.0.113.7"),
        ("203.0.113.7", b"1.2.3.4", "203.0.113.7"),  # spoofed: the peer is nobody's proxy
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", b"1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", b"6.6.6.6, 1.2.3.4", "1.2.3.4"),  # the left part is the caller's own invention
        ("10.0.0.1", b"6.6.6.6, 1.2.3.4, 10.9.9.9", "1.2.3.4"),
        ("10.0.0.1", b"6.6.6.6,1.2.3.4,10.9.9.9,2001:db8:1::5", "1.2.3.4"),
        ("10.0.0.1", b"10.1.1.1, 10.2.2.2", "10.1.1.1"),
        ("10.0.0.1", b"1.2.3.4:5678", "1.2.3.4"),
        ("10.0.0.1", b"[2001:db8:2::1]:443", "2001:db8:2::1"),
        ("10.0.0.1", b'"[2001:db8:2::1]"', "2001:db8:2::1"),
        ("10.0.0.1", b"::ffff:1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", b"fe80::1%eth0", "fe80::1"),
        ("::ffff:10.0.0.1", b"1.2.3.4", "1.2.3.4"),
        ("::ffff:203.0.113.7", b"1.2.3.4", "203.0.113.7"),
        ("10.0.0.1", b"garbage", "10.0.0.1"),
        ("10.0.0.1", b"1.2.3.4, garbage", "10.0.0.1"),
        ("10.0.0.1", b"1.2.3.4, ", "10.0.0.1"),
        ("10.0.0.1", b"unknown, 1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", b"\xff\xfe, 999.1.1.1", "10.0.0.1"),
        ("10.0.0.1", b"9" * 100_000 + b",1.2.3.4", "1.2.3.4"),
        ("2001:db8:1::9", b"1.2.3.4", "1.2.3.4"),
        ("2001:db8:9::9", b"1.2.3.4", "2001:db8:9::9"),
    ],
)
def test_callers_address(peer: str, forwarded: bytes | None, expected: str) -> None:
    clients = ClientAddresses(TRUSTED)
    for _ in range(2):  # the second time from memory
        first = clients.peer((peer, 4711))
        caller = clients.behind(first, forwarded) if first.trusted else first
        assert caller.ip == expected


def test_nobody_is_trusted_by_default_and_a_socket_without_address_is_nobody() -> None:
    clients = ClientAddresses(())
    assert not clients.peer(("127.0.0.1", 1)).trusted
    assert clients.peer(None).ip == ""
    assert clients.peer(("", 0)).ip == ""


def test_the_fingerprint_sees_ipv4_whole_and_ipv6_by_its_64() -> None:
    clients = ClientAddresses(())
    assert clients.peer(("2001:db8::1", 1)).network == clients.peer(("2001:db8::ffff:2", 1)).network
    assert clients.peer(("2001:db8::1", 1)).network != clients.peer(("2001:db8:0:1::1", 1)).network
    assert clients.peer(("1.2.3.4", 1)).network != clients.peer(("1.2.3.5", 1)).network


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({b"cf-ipcountry": b"de"}, "DE"),
        ({b"cloudfront-viewer-country": b"US"}, "US"),
        ({b"x-vercel-ip-country": b"FR"}, "FR"),
        ({b"cf-ipcountry": b"XX", b"x-vercel-ip-country": b"FR"}, "FR"),
        ({b"cf-ipcountry": b"T1"}, ""),
        ({b"cf-ipcountry": b"USA"}, ""),
        ({b"cf-ipcountry": b"\xc3\xa4"}, ""),
        ({}, ""),
    ],
)
def test_country_of_a_cdn(headers: dict[bytes, bytes], expected: str) -> None:
    assert cdn_country(headers) == expected
