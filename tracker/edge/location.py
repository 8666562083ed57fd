"""The Location header, quoted by ourselves: whatever is stored, one header leaves, and it is a web address."""

from __future__ import annotations

import re
from urllib.parse import quote

_PLAIN = re.compile(r"https?://[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_SAFE = ":/?#[]@!$&'()*+,;=%-._~"  # RFC 3986 reserved and unreserved, and what is escaped already
_MAX_LENGTH = 4096


def location(url: str) -> bytes | None:
    """`url` as a Location value: only printable ASCII, no space, quote, backslash or line break. None unless http(s)."""
    if len(url) <= _MAX_LENGTH and _PLAIN.fullmatch(url):
        return url.encode("ascii")
    url = url.strip()[:_MAX_LENGTH]
    if not url.lower().startswith(("http://", "https://")):
        return None
    return quote(url.encode("utf-8", "replace"), safe=_SAFE).encode("ascii")
