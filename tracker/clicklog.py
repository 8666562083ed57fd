"""The click log: what the edge appends and the recorder reads. One Valkey stream per shard, `{sN}:log`.

A stream entry has the fields
    r  msgpack of `Visit`, or of `PlainVisit`: the request as it came (`read_visit`)
    o  its outcome: kind, way of knowing the visitor, lease (a letter each), click id (26), visitor id (26), pool member
    s  '1' when the entry was replayed from the spill: what the visitor really got, over any claim that timed out yet landed

Kind       'click' | 'duplicate' | 'bot' | 'prefetch'
click      this visit belongs to (its own id, unless it is a duplicate)
visitor    the alias may have found an earlier one than the edge proposed
known by   'cookie' | 'fingerprint' | 'new'
member     '<inventory_link_id>|<url>' the visitor was sent to, or ''
lease      'exclusive' | 'shared' | 'reserve' | 'none'

In words and in fields of their own (k kind, c click, v visitor, y known by, m member, l lease) these cost Valkey a seventh more
per claim. Logs written so by earlier versions are read as ever.
"""

from __future__ import annotations

import msgspec

from tracker.query import parse_query

KIND_CLICK, KIND_DUPLICATE, KIND_BOT, KIND_PREFETCH = "click", "duplicate", "bot", "prefetch"
LINKS_KEY = "cb:links"
LINKS_CHANNEL = "cb:links:changed"
WAKE_CHANNEL = "cb:wake"

# The letters of an outcome.
KIND_LETTERS = {KIND_CLICK: "c", KIND_DUPLICATE: "d", KIND_BOT: "b", KIND_PREFETCH: "p"}
KNOWN_LETTERS = {"cookie": "c", "fingerprint": "f", "new": "n"}
LEASE_LETTERS = {"exclusive": "e", "shared": "s", "reserve": "r", "none": "n"}
OUTCOME_CLICK, OUTCOME_VISITOR, OUTCOME_MEMBER = slice(3, 29), slice(29, 55), slice(55, None)


class Visit(msgspec.Struct, array_like=True, frozen=True):
    """One request to /go/, capped at the edge. Absent values are ''. Order is the wire format: append only."""

    visit_id: str  # ULID, lower case; becomes the click id when the visit is a new click
    at_ms: int  # Unix milliseconds; the time inside visit_id
    smart_link_id: str
    account_id: str
    ip: str = ""
    user_agent: str = ""
    referrer: str = ""
    accept_language: str = ""
    landing_url: str = ""
    ecid: str = ""
    fbclid: str = ""
    ttclid: str = ""
    sccid: str = ""
    gclid: str = ""
    gbraid: str = ""
    wbraid: str = ""
    utm_source: str = ""
    utm_medium: str = ""
    utm_campaign: str = ""
    utm_term: str = ""
    utm_content: str = ""
    aff_s1: str = ""
    aff_s2: str = ""
    aff_s3: str = ""
    aff_s4: str = ""
    aff_s5: str = ""
    other_params: str = ""
    fbp: str = ""
    fbc: str = ""
    ttp: str = ""
    scid: str = ""
    cdn_country: str = ""  # two letters from a trusted proxy's header
    bot_reason: str = ""
    truncated: tuple[str, ...] = ()


class PlainVisit(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A visit of which nothing was cut and whose query is clean, as most are: the query stands in `landing_url` alone, for
    whoever reads the log to take apart. Fewer than 16 fields, by which it is told from a `Visit`. Order is the wire format."""

    visit_id: str
    at_ms: int
    smart_link_id: str
    account_id: str
    ip: str
    user_agent: str
    referrer: str
    accept_language: str
    landing_url: str
    fbp: str
    fbc: str
    ttp: str
    scid: str
    cdn_country: str
    bot_reason: str


_FIXED_ARRAY, _KIND_OF_BYTE = 0x90, 0xF0  # how msgpack begins an array of fewer than 16
_decode_visit = msgspec.msgpack.Decoder(Visit).decode
_decode_plain = msgspec.msgpack.Decoder(PlainVisit).decode


def read_visit(raw: bytes) -> Visit:
    """The visit in field `r` of a log entry or of a spilled one. Raises msgspec.DecodeError on what is none."""
    if not raw or raw[0] & _KIND_OF_BYTE != _FIXED_ARRAY:
        return _decode_visit(raw)
    plain = _decode_plain(raw)
    truncated: list[str] = []
    values, other = parse_query(plain.landing_url.partition("?")[2], truncated, False)
    return Visit(  # type: ignore[call-arg]  # by position: 34 names cost more than the decoding
        plain.visit_id,
        plain.at_ms,
        plain.smart_link_id,
        plain.account_id,
        plain.ip,
        plain.user_agent,
        plain.referrer,
        plain.accept_language,
        plain.landing_url,
        *values,  # type: ignore[arg-type]
        other,
        plain.fbp,
        plain.fbc,
        plain.ttp,
        plain.scid,
        plain.cdn_country,
        plain.bot_reason,
        tuple(truncated),
    )


class EdgeLink(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What the edge needs of a smart link; the value of `cb:links[smart_link_id]` (msgpack)."""

    smart_link_id: str
    account_id: str
    shard: int
    offer: str
    window_ms: int
    state: str  # 'active' | 'paused' | 'deleted'
    profile_url: str  # the creator's own page: bots, HEAD, and the last resort
    reserve: str = ""  # '<inventory_link_id>|<url>' of the pool's reserve link, or ''
    fallback_url: str = ""


def log_key(shard: int) -> str:
    """The stream of a shard."""
    return f"{{s{shard}}}:log"


def pool_key(shard: int, account_id: str, offer: str) -> str:
    """The sorted set of a pool: member '<inventory_link_id>|<url>', score = end of its lease in Unix ms (0: never leased)."""
    return f"{{s{shard}}}:pool:{account_id}:{offer}"


def pool_member(inventory_link_id: int, url: str) -> str:
    """How a pooled link stands in its pool and in the log."""
    return f"{inventory_link_id}|{url}"


def split_member(member: str) -> tuple[int | None, str]:
    """(inventory_link_id, url) of a pool member; (None, '') of ''."""
    if not member:
        return None, ""
    number, _, url = member.partition("|")
    return int(number), url
