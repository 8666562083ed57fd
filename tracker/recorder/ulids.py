"""The time in a ULID. Ids sort by it, so it bounds partitions and lookups; what happened when is told by the log entry."""

from __future__ import annotations

CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES = {character: value for value, character in enumerate(CROCKFORD)}


def prefix(at_ms: int) -> str:
    """The ten characters a lower-case ULID of that Unix millisecond begins with: no id of it or later sorts below."""
    return "".join([CROCKFORD[(at_ms >> shift) & 31] for shift in range(45, -1, -5)])


def milliseconds(ulid: str) -> int:
    """The Unix milliseconds in a lower-case ULID. Raises KeyError when it is none."""
    at_ms = 0
    for character in ulid[:10]:
        at_ms = at_ms << 5 | _VALUES[character]
    return at_ms
