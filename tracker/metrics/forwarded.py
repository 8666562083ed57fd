"""Did a request come from outside? A scrape comes directly; what a proxy passes on is a stranger's."""

from __future__ import annotations

from collections.abc import Iterable

_FORWARDED = frozenset({b"x-forwarded-for", b"x-real-ip", b"forwarded", b"cf-connecting-ip", b"true-client-ip"})


def is_forwarded(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request (ASGI headers) came through a proxy: our figures are nobody's business there."""
    return any(name.lower() in _FORWARDED for name, _ in headers)
