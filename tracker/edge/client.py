"""Who is calling: the peer's address, or behind a trusted proxy the rightmost address that is not a proxy's."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import NamedTuple

_CACHE_LIMIT = 20_000
_MAX_FORWARDED_BYTES = 4096

COUNTRY_HEADERS = (
    b"cf-ipcountry",
    b"cloudfront-viewer-country",
    b"x-vercel-ip-country",
    b"fastly-client-country",
    b"x-appengine-country",
    b"x-country-code",
)
_NO_COUNTRY = frozenset({"XX", "T1", "ZZ", "A1", "A2"})  # unknown, Tor, anonymous: not places

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Client(NamedTuple):
    """An address as it is stored and as it is fingerprinted."""

    ip: str  # canonical text, '' when there is none (a unix socket)
    network: bytes  # what of it enters the fingerprint: IPv4 whole, IPv6 by /64 (contract, section 2)
    trusted: bool  # it belongs to a trusted proxy


_NOBODY = Client("", b"", False)


def parse_address(text: str) -> Address | None:
    """An address from a header or socket: port, brackets, zone and IPv4-mapping removed. None when it is none."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


class ClientAddresses:
    """Resolves callers. Believes X-Forwarded-For and CDN headers only from peers inside `trusted` (CIDRs)."""

    def __init__(self, trusted: Sequence[str]) -> None:
        self._trusted = [ipaddress.ip_network(cidr, strict=False) for cidr in trusted]
        self._cache: dict[str, Client | None] = {}

    def peer(self, scope_client: Sequence[object] | None) -> Client:
        """The other end of the connection, from the ASGI scope's `client`."""
        if not scope_client:
            return _NOBODY
        return self._known(str(scope_client[0])) or _NOBODY

    def behind(self, peer: Client, forwarded_for: bytes | None) -> Client:
        """The caller behind a trusted `peer`: rightmost untrusted of X-Forwarded-For (all lines joined); garbage: the peer."""
        if not forwarded_for:
            return peer
        entries = forwarded_for[-_MAX_FORWARDED_BYTES:].decode("latin-1").split(",")
        furthest = peer
        for entry in reversed(entries):
            client = self._known(entry)
            if client is None:
                return peer
            if not client.trusted:
                return client
            furthest = client
        return furthest

    def _known(self, text: str) -> Client | None:
        try:
            return self._cache[text]
        except KeyError:
            pass
        address = parse_address(text)
        client = None
        if address is not None:
            network = address.packed if address.version == 4 else address.packed[:8]
            is_trusted = any(address in net for net in self._trusted if net.version == address.version)
            client = Client(str(address), network, is_trusted)
        if len(self._cache) >= _CACHE_LIMIT:
            self._cache.clear()
        if len(text) <= 64:
            self._cache[text] = client
        return client


def cdn_country(headers: dict[bytes, bytes]) -> str:
    """The two-letter country a trusted proxy's CDN header names, upper case, or ''."""
    for name in COUNTRY_HEADERS:
        value = headers.get(name)
        if value is not None and len(value) == 2 and value.isalpha():
            country = value.decode("ascii").upper()
            if country not in _NO_COUNTRY:
                return country
    return ""
