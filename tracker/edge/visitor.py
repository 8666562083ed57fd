"""Who visits: the first-party cookie, else a keyed fingerprint that may find the visitor again (contract, sections 2, 11)."""

from __future__ import annotations

import hashlib
import hmac

DAY_MS = 86_400_000
COOKIE_SECONDS = 180 * 86_400
_VALUE_CAP = 512
_BEGUN_LIMIT = 10_000  # a kilobyte each
# Only the hints a browser sends unasked (or by delegation); read by name, so their order does not matter.
HINTS = (b"sec-ch-ua-mobile", b"sec-ch-ua-platform", b"sec-ch-ua-platform-version", b"sec-ch-ua-model")


class Fingerprints:
    """Keyed hashes over network, user agent, language and client hints; a new key each UTC day, the last still accepted.

    `root` is a secret of this installation. Raw fingerprints are never kept anywhere. What the headers put into a hash is put
    in once for all requests that say the same; a request's own network goes in last.
    """

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._day = -1
        self._begun: dict[tuple[bytes | None, ...], tuple[hashlib.blake2b, hashlib.blake2b]] = {}

    def of(self, headers: dict[bytes, bytes], network: bytes, now_ms: int, window_ms: int) -> tuple[str, str]:
        """(today's, yesterday's) hash, 24 hex digits each. Yesterday's is '' once nothing of yesterday can be remembered."""
        day, into = divmod(now_ms, DAY_MS)
        if day != self._day:
            self._day = day
            self._begun.clear()
        said: tuple[bytes | None, ...] = (
            headers.get(b"user-agent"),
            headers.get(b"accept-language"),
            headers.get(b"sec-ch-ua"),
        )
        if said[2] is not None:
            said += tuple([headers.get(name) for name in HINTS])
        today, yesterday = self._begun.get(said) or self._begin(said)
        mine = today.copy()
        mine.update(network)
        if into > window_ms:
            return mine.hexdigest(), ""
        earlier = yesterday.copy()
        earlier.update(network)
        return mine.hexdigest(), earlier.hexdigest()

    def _begin(self, said: tuple[bytes | None, ...]) -> tuple[hashlib.blake2b, hashlib.blake2b]:
        said = tuple([value and value[:_VALUE_CAP] for value in said])
        begun = self._begun.get(said)
        if begun is None:
            material = b"\0".join([value or b"" for value in said]) + b"\0"
            begun = self._key(self._day), self._key(self._day - 1)
            for hashing in begun:
                hashing.update(material)
            if len(self._begun) >= _BEGUN_LIMIT:
                self._begun.clear()
            self._begun[said] = begun
        return begun

    def _key(self, day: int) -> hashlib.blake2b:
        key = hmac.digest(self._root, b"visitor fingerprint of UTC day %d" % day, "sha256")
        return hashlib.blake2b(digest_size=12, key=key)


class VisitorCookie:
    """Makes the Set-Cookie value."""

    def __init__(self, name: str) -> None:
        self.name = name.encode("ascii")
        self._end = b"; Max-Age=%d; Path=/; HttpOnly; SameSite=Lax" % COOKIE_SECONDS
        start = b"\r\nset-cookie: %b=" % self.name
        self._line = start, self._end + b"\r\n"
        self._secure_line = start, self._end + b"; Secure\r\n"

    def header(self, visitor: str, secure: bool) -> tuple[bytes, bytes]:
        """The Set-Cookie header that makes `visitor` known for 180 days."""
        return b"set-cookie", self._value(visitor, secure)

    def parts(self, secure: bool) -> tuple[bytes, bytes]:
        """What stands before and after the visitor's id in the same header as a line, with the end of the line before it."""
        return self._secure_line if secure else self._line

    def _value(self, visitor: str, secure: bool) -> bytes:
        return b"%b=%b%b%b" % (self.name, visitor.encode("ascii"), self._end, b"; Secure" if secure else b"")
