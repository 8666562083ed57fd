"""What a request to /go/ says, from raw bytes to capped, clean text. Nothing here raises on a stranger's input.

Rules: behaviour contract, section 2 (which parameters), section 11 (macros as absent); caps are ours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote_plus

from tracker.edge.ulids import is_lower_ulid

PARAMETERS = (
    "ecid", "fbclid", "ttclid", "sccid", "gclid", "gbraid", "wbraid",
    "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content",
    "aff_s1", "aff_s2", "aff_s3", "aff_s4", "aff_s5",
)  # fmt: skip
"""The stored parameters, in the order `Visit` holds them."""

CLICK_IDS = 7  # the first seven are click ids: an unexpanded macro there is no value
CAPS = (512, *(1024,) * 6, *(512,) * 10)  # characters, by position in PARAMETERS
OTHER_CAP = LANDING_CAP = 2048
REFERRER_CAP = 1024
USER_AGENT_CAP = 512
LANGUAGE_CAP = 256
COOKIE_CAP = 512
MAX_PARAMETERS = 100
MAX_COOKIE_BYTES = 16_384

_INDEX = {name: index for index, name in enumerate(PARAMETERS)}
_BLANK = [""] * len(PARAMETERS)
# C0, DEL and C1 controls, and lone surrogates: PostgreSQL text refuses NUL, UTF-8 refuses surrogates, nobody wants the rest.
_UNWANTED = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTROLS = bytes([*range(32), 127])
_MACRO = re.compile(
    r"\{\{[^{}]*\}\}|\$?\{[^{}]*\}|\[[^\[\]]*\]|<[^<>]*>|##[^#]*##|%%[^%]*%%|__[A-Za-z0-9]+(?:_[A-Za-z0-9]+)*__"
)
_MACRO_MARKS = frozenset("{$[<#%_")
_BETWEEN_MACROS = "-_.:|,~ "

_COOKIE_FIELDS = {b"_fbp": 0, b"_fbc": 1, b"_ttp": 2, b"_scid": 3}
COOKIE_NAMES = ("fbp", "fbc", "ttp", "scid")
SPECULATIVE = {
    b"sec-purpose": (b"prefetch", b"prerender"),
    b"purpose": (b"prefetch", b"prerender", b"preview"),
    b"x-purpose": (b"prefetch", b"prerender", b"preview"),
    b"x-moz": (b"prefetch",),
}

Headers = dict[bytes, bytes]


_NO_COOKIES = ("", "", "", "")


def clean(text: str) -> str:
    """`text` without control characters and lone surrogates."""
    return text if text.isprintable() else _UNWANTED.sub("", text)


def is_clean(raw: bytes) -> bool:
    """Whether bytes are ASCII without control characters: their text, and any part of it, needs no `clean`."""
    return raw.isascii() and len(raw.translate(None, _CONTROLS)) == len(raw)


def is_macro(value: str) -> bool:
    """Whether a click id is nothing but unexpanded macros: `{clickid}`, `{{ad.id}}`, `__CLICKID__`, `${SUBID}`, …"""
    return not _MACRO.sub("", value).strip(_BETWEEN_MACROS)


def parse_query(text: str, truncated: list[str], needs_cleaning: bool = True) -> tuple[list[str], str]:
    """(values by position in PARAMETERS, all other parameters as they came) of a query string, decoded as UTF-8.
    `needs_cleaning`: False when `is_clean` has said so; looking at each character costs more than all else here.

    At most 100 parameters are looked at; of one given twice the first with a value wins. Names of fields that were cut are
    added to `truncated`.
    """
    values = _BLANK.copy()
    others: list[str] = []
    pieces = text.split("&", MAX_PARAMETERS)
    is_plain = "%" not in text and "+" not in text and (not needs_cleaning or text.isprintable())
    has_overflow = len(pieces) > MAX_PARAMETERS
    if has_overflow:
        pieces.pop()
    for piece in pieces:
        name, _, value = piece.partition("=")
        index = _INDEX.get(name)
        if index is None and (index := _unusual_index(name)) is None:
            if piece:
                others.append(piece)
            continue
        if not value or values[index]:
            continue
        cap = CAPS[index]
        if not is_plain:
            if value[0] == "%" and index < CLICK_IDS and is_macro(value[:cap]):
                continue  # %%CLICKID%%: percent-decoding would mangle it
            # A character takes at most four escaped bytes.
            value = clean(unquote_plus(value[: cap * 12], errors="replace"))
            if not value:
                continue
        if len(value) > cap:
            value = value[:cap]
            truncated.append(PARAMETERS[index])
        if index < CLICK_IDS and value[0] in _MACRO_MARKS and is_macro(value):
            continue
        values[index] = value
    other = "&".join(others)
    if needs_cleaning:
        other = clean(other)
    if has_overflow or len(other) > OTHER_CAP:
        other = other[:OTHER_CAP]
        truncated.append("other_params")
    return values, other


def _unusual_index(name: str) -> int | None:
    if "%" in name:
        name = unquote_plus(name[:64], errors="replace")
        if name in _INDEX:
            return _INDEX[name]
    return _INDEX["sccid"] if len(name) == 5 and name.lower() == "sccid" else None


def parse_cookies(raw: bytes | None, visitor_cookie: bytes, truncated: list[str]) -> tuple[str, Sequence[str]]:
    """(visitor id or '', [fbp, fbc, ttp, scid]) of a Cookie header. A visitor id we could not have given out is ignored."""
    if not raw:
        return "", _NO_COOKIES
    visitor = ""
    platform = ["", "", "", ""]
    for part in raw[:MAX_COOKIE_BYTES].split(b";", MAX_PARAMETERS):
        name, _, value = part.strip().partition(b"=")
        if name == visitor_cookie:
            if not visitor and is_lower_ulid(value):
                visitor = value.decode("ascii")
            continue
        index = _COOKIE_FIELDS.get(name)
        if index is not None and not platform[index]:
            platform[index] = header_text(value, COOKIE_CAP, COOKIE_NAMES[index], truncated)
    return visitor, platform


def fold_headers(headers: list[tuple[bytes, bytes]]) -> Headers:
    """Headers by name. Of repeated ones the first stands, except lists (X-Forwarded-For, Cookie), which are joined."""
    folded = dict(headers)
    if len(folded) != len(headers):
        folded = {}
        for name, value in headers:
            if name not in folded:
                folded[name] = value
            elif name == b"x-forwarded-for":
                folded[name] += b"," + value
            elif name == b"cookie":
                folded[name] += b"; " + value
    return folded


def is_speculative(headers: Headers) -> bool:
    """Whether the browser or app loads this page ahead of a tap that may never come (contract, section 2)."""
    if SPECULATIVE.keys().isdisjoint(headers):
        return False
    return any(
        mark in headers[name].lower() for name, marks in SPECULATIVE.items() if name in headers for mark in marks
    )


def header_text(value: bytes | None, cap: int, name: str, truncated: list[str]) -> str:
    """A header's value as clean text of at most `cap` characters; adds `name` to `truncated` when it was cut."""
    if not value:
        return ""
    text = clean(value.decode("utf-8", "replace"))
    if len(text) > cap:
        truncated.append(name)
        return text[:cap]
    return text
