"""What an ad platform matches an event to a person by (capi spec sections 1 to 3), and what a conversion is worth.

Everything comes from the click's facts: platform click ids, cookies, address, user agent, page. What is malformed or stale
is left out, never sent: one bad field refuses a whole batch. No email, phone or name is known here at all.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_pton

import msgspec

from postbacks.destinations.base import Told
from postbacks.redaction import SHORTEST_SECRET, harmless_text, harmless_urls

_FBC = re.compile(r"fb\.\d\.(\d{13})\.([^\s.]+)(?:\.\S+)?")
_FBP = re.compile(r"fb\.[0-9]\.[0-9]{13}\.[0-9]+(?:\.\S+)?").fullmatch
_FBPS = re.compile(r"(?:(?:fb\.[0-9]\.[0-9]{13}\.[0-9]+)?\n)*+").fullmatch  # some of them, a line each
_PAGE = re.compile(r"https?://[^\s/]\S*").fullmatch
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
_COUNTRY = re.compile(r"[a-z]{2}")
_SPACES = " \t\r\v\f\x1c\x1d\x1e\x1f"
_NO_COUNTRY = {"xx", "zz"}
FBC_DAYS = 90.0
DAY = 86400.0
HOUR = 3600.0
FBC_NEWEST, FBC_OLDEST = HOUR - DAY, FBC_DAYS * DAY - HOUR  # seconds of age


# Facts every ad platform is told of; each adds its own click ids and cookies.
READS = (
    "_ip", "country", "purchase", "_referrer", "_user_agent", "_landing_url", "amount_gross", "external_click_id",
)  # fmt: skip


# Of these only a digest is written, or what is found well formed: no text of a stranger's.
_CHECKED = {"_ip", "country", "purchase", "amount_gross", "external_click_id", "_click_ms"}


def harmless(told: Told, secrets: Sequence[str]) -> bool:
    """Whether nothing that is written of these is one of these secrets, or named like one, as a page's parameter may be.

    A name is what stands before an equals sign: those of the pages are judged, each once; some apps' user agents have them, of which
    there are few; there must be no others, and no quote, which JSON's would stand in.
    """
    facts = told.facts
    pages, agents = "\n".join(facts["_landing_url"]), set(facts["_user_agent"])
    free = [
        column for name, column in facts.items() if name not in _CHECKED and name not in ("_landing_url", "_user_agent")
    ]
    others = "\n".join(map("\n".join, (told.event_ids, *free)))
    if "=" in others or '"' in others or not harmless_urls(pages) or not all(map(harmless_text, agents)):
        return False
    texts = (pages, others, *agents)
    return not any(len(one) >= SHORTEST_SECRET and one in text for one in secrets for text in texts)


def _words(lines: str, count: int) -> bool:
    """Whether so many lines hold nothing but ASCII, and no space of any kind. To split them would cost more."""
    if not lines.isascii() or lines.count("\n") >= count:
        return False
    for space in _SPACES:  # noqa: SIM110 - a generator would cost as much as all of this
        if space in lines:
            return False
    return True


def sha256(text: str) -> str:
    """Lower-case hex SHA-256 of a text that is normalised already."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def external_ids(ecids: Sequence[str]) -> list[str | None]:
    """SHA-256 of the trimmed, lower-cased ecids (spec section 11); None without one."""
    together = "\n".join(ecids)
    if _words(together, len(ecids)) and all(ecids):  # nothing to trim, and none without one
        made = hashlib.sha256
        return [made(text).hexdigest() for text in together.lower().encode().split(b"\n")]
    return [sha256(text) if text else None for text in [ecid.strip().lower() for ecid in ecids]]


def fbcs(cookies: Sequence[str], fbclids: Sequence[str], clicked: Sequence[str], now: float) -> list[str | None]:
    """`fbc` of each."""
    # Most are plain, and need no look at every letter; texts of thirteen digits are in the order of the numbers they show.
    together = "\n".join(fbclids)
    if (
        any(cookies)
        or "." in together
        or not _words(together, len(fbclids))
        or not all(fbclids)
        or set(map(len, clicked)) != {13}
        or not "".join(clicked).encode().isdigit()
    ):
        return [fbc(*one, now) for one in zip(cookies, fbclids, clicked, strict=True)]
    oldest, newest = (str(math.ceil((now - age) * 1000)) for age in (FBC_OLDEST, FBC_NEWEST))
    if min(clicked) >= oldest and max(clicked) < newest:
        return [f"fb.1.{at}.{fbclid}" for fbclid, at in zip(fbclids, clicked, strict=True)]
    return [
        f"fb.1.{at}.{fbclid}" if oldest <= at < newest else None for fbclid, at in zip(fbclids, clicked, strict=True)
    ]


def fbc(cookie: str, fbclid: str, click_ms: str, now: float) -> str | None:
    """Meta's click id with its time: the cookie while it belongs to the newest fbclid, else made from the click.

    None when malformed, older than 90 days or from the future (capi spec 1.6). `now` in Unix seconds.
    """
    kept = _FBC.fullmatch(cookie) if cookie else None
    if kept is not None and (not fbclid or kept[2] == fbclid):
        made = kept[1]
    elif fbclid:
        made = click_ms
        cookie = f"fb.1.{made}.{fbclid}"
        if _FBC.fullmatch(cookie) is None:
            return None
    else:
        return None
    return cookie if FBC_NEWEST < now - int(made) / 1000 < FBC_OLDEST else None


def fbps(cookies: Sequence[str]) -> list[str | None]:
    """Meta's browser ids from its cookies."""
    lines = "\n".join((*cookies, ""))
    if lines.count("\n") == len(cookies) and _FBPS(lines):
        return [cookie or None for cookie in cookies]
    return [cookie if _FBP(cookie) else None for cookie in cookies]


def addresses(values: Sequence[str]) -> list[str | None]:
    """The clicks' IP addresses."""
    return [*values] if _addresses(values) else [value if _addresses([value]) else None for value in values]


def _addresses(values: Sequence[str]) -> bool:
    try:
        for value in values:
            inet_pton(AF_INET6 if ":" in value else AF_INET, value)
    except (OSError, ValueError):
        return False
    return True


def few(values: Sequence[str], known: Callable[[str], object]) -> list[msgspec.Raw | None]:
    """What is to be written of each, as JSON, where few values make up most: each is looked at, and written, once."""
    each = {value: written(known, value) for value in set(values)}
    return [*map(each.__getitem__, values)]


@lru_cache(maxsize=16384)
def written(known: Callable[[str], object], value: str) -> msgspec.Raw | None:
    """What is known of a value, as JSON; None when nothing is."""
    found = known(value)
    return None if found is None else msgspec.Raw(msgspec.json.encode(found))


def agent(value: str) -> str | None:
    """A user agent as it came; None when absent or a digest. Few devices make most clicks."""
    return value if value.strip() and not _DIGEST.fullmatch(value) else None


def token(value: str) -> str | None:
    """A click id or cookie, unmodified; None when absent, when it holds spaces, which none of them does, or is a digest."""
    if not value or value.split(None, 1) != [value] or (len(value) == 64 and _DIGEST.fullmatch(value)):
        return None
    return value


def pages(urls: Sequence[str]) -> list[str | None]:
    """The pages of the clicks: absolute http(s) URLs; None when not known."""
    # No space in any of them, and each begins as it must, as few do in different ways.
    if _words("\n".join(urls), len(urls)) and all(map(_is_page, {url[:9] for url in urls})):
        return [*urls]
    return [url if _PAGE(url) else None for url in urls]


@lru_cache(maxsize=4096)
def _is_page(start: str) -> bool:
    return _PAGE(start) is not None


def referrer(value: str) -> str | None:
    """Where the click was made, likewise. Sites name themselves and no more, and there are few."""
    return value if value and _PAGE(value) else None


def country(text: str) -> str | None:
    """Two lower-case letters."""
    value = text.lower()
    return value if _COUNTRY.fullmatch(value) and value not in _NO_COUNTRY else None


def hashed_country(text: str) -> str | None:
    """SHA-256 of the country's two lower-case letters."""
    value = country(text)
    return None if value is None else sha256(value)


def value(gross: str) -> float | None:
    """The gross amount in USD; None when not known. There are few prices."""
    try:
        amount = float(gross)
    except ValueError:
        return None
    return amount if math.isfinite(amount) else None
