"""Which addresses a delivery may reach: public ones, and private networks an operator lists.

The deny list is written out (Svix's, extended to everything IANA holds back): `ipaddress.is_private` changed its mind
between Python releases and misses several of these. Addresses that carry an IPv4 address are judged by it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_DENIED_V4 = tuple(
    ipaddress.IPv4Network(cidr)
    for cidr in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local: cloud metadata
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")  # the only block handed out for the public internet
_DENIED_V6 = tuple(
    ipaddress.IPv6Network(cidr)
    for cidr in (
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarking
        "2001:db8::/32",
        "2002::/16",  # 6to4, once unwrapped to an address that is not denied, never gets here
        "3fff::/20",
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def parse_networks(cidrs: Iterable[str]) -> tuple[Network, ...]:
    """The networks of an allow-list. Raises ValueError naming the one that is not a CIDR."""
    return tuple(ipaddress.ip_network(cidr) for cidr in cidrs)


def unwrap(address: IPAddress) -> IPAddress:
    """The IPv4 address inside an IPv4-mapped, NAT64 (64:ff9b::/96) or 6to4 address; any other address as it is."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour or address


def refusal(host: str, allow: Iterable[Network] = ()) -> str | None:
    """Why this literal address must not be dialled, or None. `host` is an IP address, perhaps with a zone (`%eth0`)."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return f"{host} is not an IP address"
    inner = unwrap(address)
    if any(each in network for each in (address, inner) for network in allow if each.version == network.version):
        return None
    if isinstance(inner, ipaddress.IPv4Address):
        denied = any(inner in network for network in _DENIED_V4)
    else:
        denied = inner not in _GLOBAL_V6 or any(inner in network for network in _DENIED_V6)
    if not denied:
        return None
    return f"{host} is not a public address; CLICKBIND_EGRESS_ALLOW lists the private networks deliveries may reach"
