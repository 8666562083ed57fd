"""Cursors: where a list goes on, as one opaque word. A cursor holds the sort key of the last row that was given. Pure."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any

import msgspec

from tracker.management.errors import Invalid

LONGEST = 1000


def encode(*key: str | int | float | datetime | None) -> str:
    """The cursor of a row with this sort key."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def decode(cursor: str | None, *kinds: Any) -> list[Any] | None:
    """The sort key of a cursor, its parts of these types; None without a cursor. Raises Invalid naming `after`."""
    if not cursor:
        return None
    try:
        raw = base64.b64decode(cursor[:LONGEST] + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        parts = msgspec.json.decode(raw, type=list[Any])
        if len(parts) != len(kinds):
            raise ValueError
        found = [msgspec.convert(part, kind) for part, kind in zip(parts, kinds, strict=True)]
        if any(isinstance(part, str) and "\0" in part for part in found):
            raise ValueError
        if any(isinstance(part, datetime) and part.tzinfo is None for part in found):
            raise ValueError
    except (binascii.Error, ValueError, msgspec.DecodeError, UnicodeError) as error:
        raise Invalid({"after": ["The after must be a cursor as a page of this list gave it."]}) from error
    return found
