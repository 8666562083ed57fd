"""What the query of a click's address says: the parameters that are stored, decoded and capped. Nothing here raises on a
stranger's input.

The edge needs of it what tells repeats apart and hands the rest on; whoever reads the click log takes it apart
(`tracker/clicklog.py`). Rules: behaviour contract, section 2 (which parameters), section 11 (macros as absent); caps are ours.
"""

from __future__ import annotations

import re
from itertools import product
from urllib.parse import unquote_plus

PARAMETERS = (
    "ecid", "fbclid", "ttclid", "sccid", "gclid", "gbraid", "wbraid",
    "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content",
    "aff_s1", "aff_s2", "aff_s3", "aff_s4", "aff_s5",
)  # fmt: skip
"""The stored parameters, in the order `Visit` holds them."""

CLICK_IDS = 7  # the first seven are click ids: an unexpanded macro there is no value
CAPS = (512, *(1024,) * 6, *(512,) * 10)  # characters, by position in PARAMETERS
OTHER_CAP = 2048
MAX_PARAMETERS = 100

_INDEX = {name: index for index, name in enumerate(PARAMETERS)}
_BLANK = [""] * len(PARAMETERS)
# The first five, and `sccid` in any case.
_MARKS = {name: _INDEX[name] for name in PARAMETERS[:5]} | {
    "".join(letters): _INDEX["sccid"] for letters in product(*((letter, letter.upper()) for letter in "sccid"))
}
# C0, DEL and C1 controls, and lone surrogates: PostgreSQL text refuses NUL, UTF-8 refuses surrogates, nobody wants the rest.
_UNWANTED = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTROLS = bytes([*range(32), 127])
_MACRO = re.compile(
    r"\{\{[^{}]*\}\}|\$?\{[^{}]*\}|\[[^\[\]]*\]|<[^<>]*>|##[^#]*##|%%[^%]*%%|__[A-Za-z0-9]+(?:_[A-Za-z0-9]+)*__"
)
_MACRO_MARKS = frozenset("{$[<#%_")
_BETWEEN_MACROS = "-_.:|,~ "


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


Marks = tuple[str, str, str, str, str]
"""What of a query tells a repeated visit from a new one: ecid, fbclid, ttclid, sccid, gclid; '' where absent."""


def marks(text: str) -> Marks:
    """The marks of a query that is clean (`is_clean`), the same that `parse_query` finds.

    A query without escapes is not taken apart further than that: the edge asks this of every click.
    """
    pieces = text.split("&")
    if "%" in text or "+" in text or len(pieces) > MAX_PARAMETERS:
        return marks_of(parse_query(text, [], False)[0])
    found = ["", "", "", "", ""]
    for piece in pieces:
        name, _, value = piece.partition("=")
        if name in _MARKS and value:
            index = _MARKS[name]
            if found[index]:
                continue
            if len(value) > 512:  # the least of their caps
                value = value[: CAPS[index]]
            if value[0] not in _MACRO_MARKS or not is_macro(value):
                found[index] = value
    return tuple(found)  # type: ignore[return-value]


def marks_of(values: list[str]) -> Marks:
    """The marks among the values of `parse_query`."""
    return values[0], values[1], values[2], values[3], values[4]


def _unusual_index(name: str) -> int | None:
    if "%" in name:
        name = unquote_plus(name[:64], errors="replace")
        if name in _INDEX:
            return _INDEX[name]
    return _INDEX["sccid"] if len(name) == 5 and name.lower() == "sccid" else None
