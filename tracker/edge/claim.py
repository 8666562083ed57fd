"""The claim: what is sent to Valkey for one visit, and what comes back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from typing import NamedTuple, cast
from zlib import crc32

import hiredis

from tracker.clicklog import (
    KIND_BOT,
    KIND_LETTERS,
    KIND_PREFETCH,
    KNOWN_LETTERS,
    LEASE_LETTERS,
    OUTCOME_CLICK,
    OUTCOME_MEMBER,
    OUTCOME_VISITOR,
    EdgeLink,
    log_key,
    pool_key,
)
from tracker.query import Marks

LEASES = {letter: lease for lease, letter in LEASE_LETTERS.items()}
pack = cast(Callable[[tuple[str | bytes, ...]], bytes], hiredis.pack_command)
"""A command as Valkey reads it."""

KEYS, ARGUMENTS = 4, 3  # of one claim in a call of the function (claim.lua)
_ABSENT = "--------"

SAME_PERSON_MS = 30_000
AFTER_WINDOW_MS = 60_000  # platform times are floored to the minute


class Claim(NamedTuple):
    """A claim's outcome."""

    click_id: str
    duplicate: bool
    lease: str  # 'exclusive' | 'shared' | 'reserve' | 'none'
    visitor: str  # the visitor's id: the fingerprint may have found an earlier one than was proposed
    member: str  # '<inventory_link_id>|<url>' or ''


class Library:
    """The server-side function. Its name carries a digest of its text: edges of two versions can share one Valkey."""

    def __init__(self) -> None:
        text = files("tracker.edge").joinpath("claim.lua").read_text()
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        self.function = f"clickbind_claim_{digest}"
        self.stash_function = self.function + "_stash"
        source = f"#!lua name=clickbind_{digest}\n" + text.replace("__FUNCTION__", self.function)
        self.load_command: bytes = pack(("FUNCTION", "LOAD", "REPLACE", source))
        """Loads the library, packed. Harmless when it is there."""


class LinkKeys:
    """What the claims of links have in common that share account, offer, window and targets: made once for all of them."""

    def __init__(self, link: EdgeLink) -> None:
        self.log = log_key(link.shard)
        self.pool = pool_key(link.shard, link.account_id, link.offer)
        self.by_visitor = f"{{s{link.shard}}}:v:"
        self.by_fingerprint = f"{{s{link.shard}}}:f:"
        self.window = str(link.window_ms)
        self.window_ms = link.window_ms
        self.lease_ms = link.window_ms + AFTER_WINDOW_MS
        self.reserve = link.reserve


def ecid_suffix(ecid: str) -> str:
    """What of an external click id stands in a record's key: ':' and itself, or, of a long one, '#' and its digest."""
    if len(ecid) <= 40:
        return ":" + ecid
    return "#" + hashlib.blake2b(ecid.encode(), digest_size=16).hexdigest()


def click_id_digests(fbclid: str, ttclid: str, sccid: str, gclid: str) -> str:
    """Four times eight characters, to tell unequal click ids apart; '--------' for an absent one."""
    if not (fbclid or ttclid or sccid or gclid):
        return _ABSENT * 4
    return (
        (_digest(fbclid) if fbclid else _ABSENT)
        + (_digest(ttclid) if ttclid else _ABSENT)
        + (_digest(sccid) if sccid else _ABSENT)
        + (_digest(gclid) if gclid else _ABSENT)
    )


def _digest(click_id: str) -> str:
    return crc32(click_id.encode()).to_bytes(4, "big").hex()


class RecordKeys(NamedTuple):
    """Where the records that may know a visit are, and what tells its click ids apart. `by_yesterday` may be ''."""

    by_visitor: str
    by_fingerprint: str
    by_yesterday: str
    click_ids: str


_record_keys = partial(tuple.__new__, RecordKeys)  # without a frame of its own, as each click makes one


def visitor_key(keys: LinkKeys, link_id: str, visitor: str, ecid: str) -> str:
    """Where the record of a known visitor's click on a link is."""
    return f"{keys.by_visitor}{link_id}:{visitor}{ecid_suffix(ecid)}"


def record_keys(keys: LinkKeys, link_id: str, marks: Marks, visitor: str, today: str, yesterday: str) -> RecordKeys:
    """The keys of a visit. `today`, `yesterday`: its fingerprint under both keys; yesterday's may be ''."""
    ecid, fbclid, ttclid, sccid, gclid = marks
    suffix = ":" + ecid if len(ecid) <= 40 else ecid_suffix(ecid)
    fingerprints = keys.by_fingerprint + link_id
    return _record_keys(
        (
            f"{keys.by_visitor}{link_id}:{visitor}{suffix}",
            f"{fingerprints}:{today}{suffix}",
            f"{fingerprints}:{yesterday}{suffix}" if yesterday else "",
            click_id_digests(fbclid, ttclid, sccid, gclid),
        )
    )


def claim_keys(keys: LinkKeys, records: RecordKeys) -> tuple[str, str, str, str]:
    """The keys of one claim beside the log, as claim.lua lists them."""
    by_visitor, by_fingerprint, by_yesterday, _ = records
    return keys.pool, by_visitor, by_fingerprint, by_yesterday or by_fingerprint


def claim_arguments(
    keys: LinkKeys, click_ids: str, at_ms: int, visit_id: str, request: bytes, visitor: str, by_cookie: bool
) -> tuple[str | bytes, ...]:
    """The arguments of one claim, as claim.lua lists them. `request`: the visit as the log keeps it."""
    known = "c" if by_cookie else "n"
    lease_end = at_ms + keys.lease_ms
    # zfill: a clock before 2001. A format specification would cost more.
    return (
        f"{str(at_ms).zfill(13)}{visit_id}{visitor}{known}{click_ids}{str(lease_end).zfill(13)}{keys.window}",
        keys.reserve,
        request,
    )


def same_person(elapsed_ms: int, click_ids: str, theirs: str) -> bool:
    """Whether a fingerprint alone shows a repeated click: within 30 s, or later if no platform click id differs (spec 2)."""
    if elapsed_ms <= SAME_PERSON_MS:
        return True
    pairs = [(click_ids[at : at + 8], theirs[at : at + 8]) for at in range(0, 32, 8)]
    return all(mine == other or _ABSENT in (mine, other) for mine, other in pairs)


def parse_claim(reply: bytes) -> Claim:
    """The outcome in a reply of the function."""
    text = reply.decode()
    return Claim(text[OUTCOME_CLICK], text[0] == "d", LEASES[text[2]], text[OUTCOME_VISITOR], text[OUTCOME_MEMBER])


class Entry(NamedTuple):
    """A click-log entry the edge writes itself, without a claim: bots, refused prefetches, and what is spilled."""

    shard: int
    request: bytes  # the visit, as the log keeps it
    kind: str
    click_id: str
    visitor: str
    known: str
    member: str
    lease: str
    # What a claim would have left in Valkey beside the log, for the replay. '' and 0: nothing.
    by_visitor: str = ""
    by_fingerprint: str = ""
    click_ids: str = ""
    window_ms: int = 0
    pool: str = ""
    at_ms: int = 0

    @property
    def record(self) -> str:
        """The dedup record, as claim.lua lays it out."""
        return f"{self.click_id}{self.visitor}{LEASE_LETTERS[self.lease]}{self.at_ms:013d}{self.click_ids}{self.member}"

    @property
    def lease_end(self) -> int:
        """Unix ms until which its link is leased."""
        return self.at_ms + self.window_ms + AFTER_WINDOW_MS


def bare_entry(link: EdgeLink, request: bytes, kind: str, visit_id: str, visitor: str) -> Entry:
    """An entry that takes no lease. `kind`: KIND_BOT or KIND_PREFETCH."""
    if kind not in (KIND_BOT, KIND_PREFETCH):
        raise ValueError(f"{kind} needs a claim")
    return Entry(link.shard, request, kind, visit_id, visitor, "cookie" if visitor else "new", "", "none")


def log_fields(entry: Entry, spilled: bool) -> list[str | bytes]:
    """An entry as the fields of XADD; `spilled` marks what is replayed."""
    letters = KIND_LETTERS[entry.kind] + KNOWN_LETTERS[entry.known] + LEASE_LETTERS[entry.lease]
    visitor = entry.visitor or entry.click_id  # nobody we know: a visitor of its own
    fields: list[str | bytes] = ["r", entry.request, "o", f"{letters}{entry.click_id}{visitor}{entry.member}"]
    return [*fields, "s", "1"] if spilled else fields


def log_command(entry: Entry) -> bytes:
    """The packed XADD of an entry that went through no claim."""
    return pack(("XADD", log_key(entry.shard), "*", *log_fields(entry, spilled=False)))
