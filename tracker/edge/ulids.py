"""Fresh ULIDs for visits and visitors: lower case, random tail (a monotonic one would tell strangers the click rate)."""

from __future__ import annotations

import os
import re

from ulid import base32

_DIGITS = base32.ENCODING.lower()
_PAIRS = tuple(high + low for high in _DIGITS for low in _DIGITS)
_RANDOM_CHUNK = 4000  # a multiple of the 10 random bytes one ULID takes

_ULID = re.compile(rb"[0-7][0-9a-hjkmnp-tv-z]{25}", re.ASCII)


class UlidSource:
    """Makes ULIDs in about a microsecond: the time part is kept per millisecond, randomness is read in chunks."""

    def __init__(self) -> None:
        self._at_ms = -1
        self._stamp = ""
        self._random = b""
        self._offset = 0

    def new(self, at_ms: int) -> str:
        """A ULID, lower case, 26 characters, whose time is `at_ms` (Unix milliseconds)."""
        if at_ms != self._at_ms:
            self._stamp = base32.encode_timestamp(at_ms.to_bytes(6, "big")).lower()
            self._at_ms = at_ms
        start = self._offset
        end = start + 10
        if end > len(self._random):
            self._random = os.urandom(_RANDOM_CHUNK)
            start, end = 0, 10
        self._offset = end
        tail = int.from_bytes(self._random[start:end], "big")
        pairs = _PAIRS
        return (
            f"{self._stamp}{pairs[tail >> 70]}{pairs[tail >> 60 & 1023]}{pairs[tail >> 50 & 1023]}"
            f"{pairs[tail >> 40 & 1023]}{pairs[tail >> 30 & 1023]}{pairs[tail >> 20 & 1023]}"
            f"{pairs[tail >> 10 & 1023]}{pairs[tail & 1023]}"
        )


def is_lower_ulid(text: bytes) -> bool:
    """Whether `text` is a ULID as we give them out: 26 lower-case Crockford characters, no look-alikes."""
    return _ULID.fullmatch(text) is not None
