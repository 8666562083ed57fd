"""One entry of the click log as a value: decoded and checked, or rejected with the reason. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from tracker.clicklog import KIND_BOT, KIND_CLICK, KIND_DUPLICATE, KIND_PREFETCH, Visit

KINDS = frozenset({KIND_CLICK, KIND_DUPLICATE, KIND_BOT, KIND_PREFETCH})
VISITOR_BY = frozenset({"cookie", "fingerprint", "new"})
LEASES = frozenset({"exclusive", "shared", "reserve", "none"})
LONGEST_ID = 255  # ids and visitors are indexed, and an index row has a size limit
LATEST_MS = 253_402_300_799_999  # the end of year 9999, the last instant Python and PostgreSQL both can hold
LARGEST_BIGINT = 2**63 - 1

_ULID = re.compile(r"[0-7][0-9a-hjkmnp-tv-z]{25}")
_visits = msgspec.msgpack.Decoder(Visit)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A log entry that was understood (format: `tracker/clicklog.py`). Ids of visits and clicks are lower-case ULIDs."""

    entry_id: str
    kind: str
    visit_id: str
    click_id: str  # its own visit_id, unless it is a duplicate
    at_ms: int
    visitor: str
    visitor_by: str
    inventory_link_id: int | None
    lease: str
    spilled: bool
    visit: Visit


class Reject(msgspec.Struct, frozen=True):
    """A log entry that was not understood: kept with its reason for a person to look at."""

    entry_id: str
    reason: str
    body: bytes


def decode(entry_id: bytes, fields: Mapping[bytes, bytes]) -> Entry | Reject:
    """The value of one stream entry. Never raises: what cannot be understood comes back as a Reject."""
    try:
        return _decode(entry_id.decode(), fields)
    except (KeyError, ValueError) as error:  # msgspec.DecodeError and UnicodeDecodeError are ValueErrors
        reason = f"field {error} is missing" if isinstance(error, KeyError) else str(error)
        return Reject(entry_id.decode("ascii", "replace"), reason[:500], body_of(fields))


def body_of(fields: Mapping[bytes, bytes]) -> bytes:
    """The raw fields of an entry as one value (msgpack of name -> value, in order) for `log_rejects`."""
    return msgspec.msgpack.encode(list(fields.items()))


def _decode(entry_id: str, fields: Mapping[bytes, bytes]) -> Entry:
    visit = _visits.decode(fields[b"r"])
    kind = fields[b"k"].decode()
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind[:40]!r}")
    visit_id = _ulid("visit_id", visit.visit_id)
    click_id = _ulid("click id", fields[b"c"].decode() or visit_id) if b"c" in fields else visit_id
    if kind == KIND_DUPLICATE:
        if click_id == visit_id:
            kind = KIND_CLICK  # a replay found the very claim it repeats
    elif click_id != visit_id:
        raise ValueError(f"a {kind} cannot belong to another click ({click_id})")
    if not 0 <= visit.at_ms <= LATEST_MS:
        raise ValueError(f"at_ms {visit.at_ms} is not a time")
    _identifier("smart_link_id", visit.smart_link_id)
    _identifier("account_id", visit.account_id)
    visitor = fields.get(b"v", b"").decode() or visit_id  # nobody we know: a visitor of its own
    _identifier("visitor", visitor)
    visitor_by = fields.get(b"y", b"").decode() or "new"
    if visitor_by not in VISITOR_BY:
        raise ValueError(f"unknown way of knowing a visitor {visitor_by[:40]!r}")
    lease = fields.get(b"l", b"").decode() or "none"
    if lease not in LEASES:
        raise ValueError(f"unknown lease {lease[:40]!r}")
    return Entry(
        entry_id,
        kind,
        visit_id,
        click_id,
        visit.at_ms,
        visitor,
        visitor_by,
        _link(fields.get(b"m", b"")),
        lease,
        fields.get(b"s") == b"1",
        visit,
    )


def _ulid(name: str, value: str) -> str:
    value = value.lower()
    if not _ULID.fullmatch(value):
        raise ValueError(f"{name} {value[:40]!r} is not a ULID")
    return value


def _identifier(name: str, value: str) -> None:
    if not value or len(value) > LONGEST_ID or "\x00" in value:
        raise ValueError(f"{name} is empty, too long or holds NUL")


def _link(member: bytes) -> int | None:
    if not member:
        return None
    number = int(member.partition(b"|")[0])
    if not 0 < number <= LARGEST_BIGINT:
        raise ValueError(f"inventory link {number} is out of range")
    return number
