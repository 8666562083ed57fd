"""Which addresses a delivery may reach."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbacks.addresses import parse_networks, refusal

REFUSED = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.0.9",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2002:c0a8:101::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "not-an-address",
]
ALLOWED = [
    "1.1.1.1",
    "8.8.8.8",
    "172.32.0.1",
    "2606:4700::1111",
    "64:ff9b::808:808",
    "2002:808:808::1",
    "::ffff:8.8.8.8",
]


@pytest.mark.parametrize("host", REFUSED)
def test_refused(host: str) -> None:
    reason = refusal(host)
    assert reason is not None
    assert host in reason


@pytest.mark.parametrize("host", ALLOWED)
def test_public(host: str) -> None:
    assert refusal(host) is None


@pytest.mark.parametrize("host", ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203", "fd12::1"])
def test_an_operator_may_allow_private_networks(host: str) -> None:
    allow = parse_networks(["10.0.0.0/8", "fd12::/16"])
    assert refusal(host, allow) is None
    assert refusal("192.168.0.1", allow) is not None


@given(st.ip_addresses(v=4))
def test_wrapping_an_ipv4_address_never_changes_the_answer(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    wrapped = [f"::ffff:{address}", str(ipaddress.IPv6Address((0x64FF9B << 96) | number))]
    wrapped.append(str(ipaddress.IPv6Address((0x2002 << 112) | (number << 80) | 1)))
    assert {refusal(host) is None for host in wrapped} == {refusal(str(address)) is None}


@given(st.ip_addresses())
def test_nothing_that_python_calls_private_gets_through(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if (
        address.is_private
        or address.is_multicast
        or address.is_reserved
        or address.is_loopback
        or address.is_link_local
    ):
        wrapped = getattr(address, "ipv4_mapped", None) or int(address) >> 32 == 0x64FF9B << 64
        assert wrapped or refusal(str(address)) is not None
