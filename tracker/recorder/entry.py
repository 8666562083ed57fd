"""One entry of the click log as a value: decoded and checked, or rejected with the reason. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from tracker.clicklog import (
    KIND_BOT,
    KIND_CLICK,
    KIND_DUPLICATE,
    KIND_LETTERS,
    KIND_PREFETCH,
    KNOWN_LETTERS,
    LEASE_LETTERS,
    OUTCOME_CLICK,
    OUTCOME_MEMBER,
    OUTCOME_VISITOR,
    Visit,
    read_visit,
)

# What may stand in a field, as it comes: a lookup decodes and checks at once. Absent and empty mean the usual.
KINDS = {kind.encode(): kind for kind in (KIND_CLICK, KIND_DUPLICATE, KIND_BOT, KIND_PREFETCH)}
VISITOR_BY = {b"cookie": "cookie", b"fingerprint": "fingerprint", b"new": "new", b"": "new"}
LEASES = {b"exclusive": "exclusive", b"shared": "shared", b"reserve": "reserve", b"none": "none", b"": "none"}
LETTERS = (
    {letter.encode(): kind for kind, letter in KIND_LETTERS.items()},
    {letter.encode(): known for known, letter in KNOWN_LETTERS.items()},
    {letter.encode(): lease for lease, letter in LEASE_LETTERS.items()},
)
LONGEST_ID = 255  # ids and visitors are indexed, and an index row has a size limit
LATEST_MS = 253_402_300_799_999  # the end of year 9999, the last instant Python and PostgreSQL both can hold
LARGEST_BIGINT = 2**63 - 1

_ULID = re.compile(r"[0-7][0-9a-hjkmnp-tv-z]{25}").fullmatch


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
    visit = read_visit(fields[b"r"])
    outcome = fields.get(b"o")
    if outcome is None:
        kind, visitor_by, lease, click, visitor, member = _in_words(fields)
    else:
        kind, visitor_by, lease, click, visitor, member = _in_letters(outcome)
    visit_id = visit.visit_id.lower()
    click_id = click.decode().lower() or visit_id
    if not _ULID(visit_id) or (click_id != visit_id and not _ULID(click_id)):
        raise ValueError(f"visit {visit_id[:40]!r} of click {click_id[:40]!r}: not ULIDs")
    if kind == KIND_DUPLICATE:
        if click_id == visit_id:
            kind = KIND_CLICK  # a replay found the very claim it repeats
    elif click_id != visit_id:
        raise ValueError(f"a {kind} cannot belong to another click ({click_id})")
    at_ms = visit.at_ms
    if not 0 <= at_ms <= LATEST_MS:
        raise ValueError(f"at_ms {at_ms} is not a time")
    visitor_id = visitor.decode() or visit_id  # nobody we know: a visitor of its own
    for identifier in (visit.smart_link_id, visit.account_id, visitor_id):
        if not 0 < len(identifier) <= LONGEST_ID or "\x00" in identifier:
            raise ValueError(f"id {identifier[:40]!r} is empty, too long or holds NUL")
    return Entry(
        entry_id,
        kind,
        visit_id,
        click_id,
        at_ms,
        visitor_id,
        visitor_by,
        _link(member),
        lease,
        fields.get(b"s") == b"1",
        visit,
    )


Outcome = tuple[str, str, str, bytes, bytes, bytes]
"""Kind, way of knowing the visitor, lease, click, visitor, member."""


def _in_letters(outcome: bytes) -> Outcome:
    kinds, ways, leases = LETTERS
    return (
        _one_of(kinds, "kind", outcome[:1]),
        _one_of(ways, "way of knowing a visitor", outcome[1:2]),
        _one_of(leases, "lease", outcome[2:3]),
        outcome[OUTCOME_CLICK],
        outcome[OUTCOME_VISITOR],
        outcome[OUTCOME_MEMBER],
    )


def _in_words(fields: Mapping[bytes, bytes]) -> Outcome:
    """What versions before the outcome had a field of its own wrote."""
    return (
        _one_of(KINDS, "kind", fields[b"k"]),
        _one_of(VISITOR_BY, "way of knowing a visitor", fields.get(b"y", b"")),
        _one_of(LEASES, "lease", fields.get(b"l", b"")),
        fields.get(b"c", b""),
        fields.get(b"v", b""),
        fields.get(b"m", b""),
    )


def _one_of(known: dict[bytes, str], name: str, value: bytes) -> str:
    found = known.get(value)
    if found is None:
        raise ValueError(f"unknown {name} {value[:40]!r}")
    return found


def _link(member: bytes) -> int | None:
    if not member:
        return None
    number = int(member.partition(b"|")[0])
    if not 0 < number <= LARGEST_BIGINT:
        raise ValueError(f"inventory link {number} is out of range")
    return number
