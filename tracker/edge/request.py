"""What a request to /go/ says beside its query, from raw bytes to capped, clean text. Nothing here raises on a stranger's input."""

from __future__ import annotations

from collections.abc import Sequence

from tracker.edge.ulids import is_lower_ulid
from tracker.query import MAX_PARAMETERS, clean

LANDING_CAP = 2048  # characters
REFERRER_CAP = 1024
USER_AGENT_CAP = 512
LANGUAGE_CAP = 256
COOKIE_CAP = 512
MAX_COOKIE_BYTES = 16_384

_COOKIE_FIELDS = {b"_fbp": 0, b"_fbc": 1, b"_ttp": 2, b"_scid": 3}
COOKIE_NAMES = ("fbp", "fbc", "ttp", "scid")
SPECULATIVE = {
    b"sec-purpose": (b"prefetch", b"prerender"),
    b"purpose": (b"prefetch", b"prerender", b"preview"),
    b"x-purpose": (b"prefetch", b"prerender", b"preview"),
    b"x-moz": (b"prefetch",),
}

Headers = dict[bytes, bytes]


_NO_COOKIES = ("", "", "", "")


def parse_cookies(raw: bytes | None, visitor_cookie: bytes, truncated: list[str]) -> tuple[str, Sequence[str]]:
    """(visitor id or '', [fbp, fbc, ttp, scid]) of a Cookie header. A visitor id we could not have given out is ignored."""
    if not raw:
        return "", _NO_COOKIES
    visitor = ""
    platform = ["", "", "", ""]
    for part in raw[:MAX_COOKIE_BYTES].split(b";", MAX_PARAMETERS):
        name, _, value = part.strip().partition(b"=")
        if name == visitor_cookie:
            if not visitor and is_lower_ulid(value):
                visitor = value.decode("ascii")
            continue
        index = _COOKIE_FIELDS.get(name)
        if index is not None and not platform[index]:
            platform[index] = header_text(value, COOKIE_CAP, COOKIE_NAMES[index], truncated)
    return visitor, platform


def fold_headers(headers: list[tuple[bytes, bytes]]) -> Headers:
    """Headers by name. Of repeated ones the first stands, except lists (X-Forwarded-For, Cookie), which are joined."""
    folded = dict(headers)
    if len(folded) != len(headers):
        folded = {}
        for name, value in headers:
            if name not in folded:
                folded[name] = value
            elif name == b"x-forwarded-for":
                folded[name] += b"," + value
            elif name == b"cookie":
                folded[name] += b"; " + value
    return folded


def is_speculative(headers: Headers) -> bool:
    """Whether the browser or app loads this page ahead of a tap that may never come (contract, section 2)."""
    if SPECULATIVE.keys().isdisjoint(headers):
        return False
    return any(
        mark in headers[name].lower() for name, marks in SPECULATIVE.items() if name in headers for mark in marks
    )


def header_text(value: bytes | None, cap: int, name: str, truncated: list[str]) -> str:
    """A header's value as clean text of at most `cap` characters; adds `name` to `truncated` when it was cut."""
    if not value:
        return ""
    text = clean(value.decode("utf-8", "replace"))
    if len(text) > cap:
        truncated.append(name)
        return text[:cap]
    return text
