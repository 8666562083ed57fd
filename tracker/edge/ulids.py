"""Fresh ULIDs for visits and visitors: lower case, random tail (a monotonic one would tell strangers the click rate)."""

from __future__ import annotations

import os
import re

from ulid import base32

_RANDOM_CHUNK = 32 * 256
# A random byte stands for the digit of its low five bits: 256 is a multiple of 32, so every digit is as likely.
_DIGIT_OF_BYTE = bytes(base32.ENCODING.lower().encode()[byte & 31] for byte in range(256))

_ULID = re.compile(rb"[0-7][0-9a-hjkmnp-tv-z]{25}", re.ASCII)


class UlidSource:
    """Makes ULIDs in half a microsecond: the time part is kept per millisecond, random digits are made in chunks."""

    def __init__(self) -> None:
        self._at_ms = -1
        self._stamp = ""
        self._digits = ""
        self._offset = 0

    def new(self, at_ms: int) -> str:
        """A ULID, lower case, 26 characters, whose time is `at_ms` (Unix milliseconds)."""
        return self.pair(at_ms)[0]

    def pair(self, at_ms: int) -> tuple[str, str]:
        """Two of them."""
        if at_ms != self._at_ms:
            self._stamp = base32.encode_timestamp(at_ms.to_bytes(6, "big")).lower()
            self._at_ms = at_ms
        stamp, digits, start = self._stamp, self._digits, self._offset
        if start >= len(digits):
            self._digits = digits = os.urandom(_RANDOM_CHUNK).translate(_DIGIT_OF_BYTE).decode("ascii")
            start = 0
        middle = start + 16
        self._offset = end = start + 32
        return stamp + digits[start:middle], stamp + digits[middle:end]


def is_lower_ulid(text: bytes) -> bool:
    """Whether `text` is a ULID as we give them out: 26 lower-case Crockford characters, no look-alikes."""
    return _ULID.fullmatch(text) is not None
