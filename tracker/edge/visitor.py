"""Who visits: the first-party cookie, else a keyed fingerprint that may find the visitor again (contract, sections 2, 11)."""

from __future__ import annotations

import hashlib
import hmac

DAY_MS = 86_400_000
COOKIE_SECONDS = 180 * 86_400
_VALUE_CAP = 512
# Only the hints a browser sends unasked (or by delegation); read by name, so their order does not matter.
_HINTS = (b"sec-ch-ua-mobile", b"sec-ch-ua-platform", b"sec-ch-ua-platform-version", b"sec-ch-ua-model")


class Fingerprints:
    """Keyed hashes over network, user agent, language and client hints; a new key each UTC day, the last still accepted.

    `root` is a secret of this installation. Raw fingerprints are never kept anywhere.
    """

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._day = -1
        self._today = self._yesterday = hashlib.blake2b()

    def of(self, headers: dict[bytes, bytes], network: bytes, now_ms: int, window_ms: int) -> tuple[str, str]:
        """(today's, yesterday's) hash, 24 hex digits each. Yesterday's is '' once nothing of yesterday can be remembered."""
        day = now_ms // DAY_MS
        if day != self._day:
            self._day, self._today, self._yesterday = day, self._key(day), self._key(day - 1)
        parts = [
            network,
            headers.get(b"user-agent", b"")[:_VALUE_CAP],
            headers.get(b"accept-language", b"")[:_VALUE_CAP],
        ]
        brands = headers.get(b"sec-ch-ua")
        if brands is not None:
            parts.append(brands[:_VALUE_CAP])
            parts += [headers.get(name, b"")[:_VALUE_CAP] for name in _HINTS]
        material = b"\0".join(parts)
        today = self._today.copy()
        today.update(material)
        if now_ms % DAY_MS > window_ms:
            return today.hexdigest(), ""
        yesterday = self._yesterday.copy()
        yesterday.update(material)
        return today.hexdigest(), yesterday.hexdigest()

    def _key(self, day: int) -> hashlib.blake2b:
        key = hmac.digest(self._root, b"visitor fingerprint of UTC day %d" % day, "sha256")
        return hashlib.blake2b(digest_size=12, key=key)


class VisitorCookie:
    """Makes the Set-Cookie value."""

    def __init__(self, name: str) -> None:
        self.name = name.encode("ascii")
        self._end = b"; Max-Age=%d; Path=/; HttpOnly; SameSite=Lax" % COOKIE_SECONDS

    def header(self, visitor: str, secure: bool) -> tuple[bytes, bytes]:
        """The Set-Cookie header that makes `visitor` known for 180 days."""
        return b"set-cookie", self._value(visitor, secure)

    def line(self, visitor: str, secure: bool) -> bytes:
        """The same as a line of a response."""
        return b"set-cookie: %b\r\n" % self._value(visitor, secure)

    def _value(self, visitor: str, secure: bool) -> bytes:
        return b"%b=%b%b%b" % (self.name, visitor.encode("ascii"), self._end, b"; Secure" if secure else b"")
