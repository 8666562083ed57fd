"""What an ad platform matches an event to a person by (capi spec sections 1 to 3), and what a conversion is worth.

Everything comes from the click's facts: platform click ids, cookies, address, user agent, page. What is malformed or stale
is left out, never sent: one bad field refuses a whole batch. No email, phone or name is known here at all.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_pton
from typing import Any

import msgspec

from postbacks.redaction import harmless_text, harmless_urls

_FBC = re.compile(r"fb\.\d\.(\d{13})\.([^\s.]+)(?:\.\S+)?")
_FBP = re.compile(r"fb\.[0-9]\.[0-9]{13}\.[0-9]+(?:\.\S+)?").fullmatch
_PAGE = re.compile(r"https?://[^\s/]\S*").fullmatch
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
_COUNTRY = re.compile(r"[a-z]{2}")
_NO_COUNTRY = {"xx", "zz"}
FBC_DAYS = 90.0
DAY = 86400.0
HOUR = 3600.0
FBC_NEWEST, FBC_OLDEST = HOUR - DAY, FBC_DAYS * DAY - HOUR  # seconds of age


class Known(msgspec.Struct, gc=False):
    """The facts every ad platform is told of, all of them text; what is not known is empty. Reads like the mapping it is made of.

    A platform adds its own click ids and cookies. `told`, no fact, is where a connection keeps the event it made of them.
    """

    ip: str = msgspec.field(name="_ip", default="")
    country: str = ""
    purchase: str = ""
    click_ms: str = msgspec.field(name="_click_ms", default="")
    referrer: str = msgspec.field(name="_referrer", default="")
    user_agent: str = msgspec.field(name="_user_agent", default="")
    landing_url: str = msgspec.field(name="_landing_url", default="")
    amount_gross: str = ""
    external_click_id: str = ""
    told: Any = msgspec.field(name="(told)", default=None)  # a name no fact has

    def __getitem__(self, name: str) -> str:
        found = getattr(self, name.removeprefix("_"), None)
        if not isinstance(found, str):
            raise KeyError(name)
        return found


def harmless(events: Sequence[Known], written: bytes) -> bool:
    """Whether nothing that was written of these is named like a secret, as a page's parameter may be.

    A name is what stands before an equals sign: those of the pages are judged, each once, and there must be no others. No for
    some where nothing is.
    """
    pages = "\n".join([one.landing_url for one in events])
    if not harmless_urls(pages):
        return False
    others = written.count(b"=") - pages.count("=")
    if others == 0:
        return True
    # Some apps' user agents have them.
    agents = Counter([one.user_agent for one in events])
    return others == sum([agent.count("=") * count for agent, count in agents.items()]) and all(
        map(harmless_text, agents)
    )


def sha256(text: str) -> str:
    """Lower-case hex SHA-256 of a text that is normalised already."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def external_id(facts: Known) -> str | None:
    """SHA-256 of the trimmed, lower-cased ecid (spec section 11); None without one."""
    text = facts.external_click_id.strip().lower()
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest() if text else None


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
        # Most are plain, and need no look at every letter.
        plain = fbclid.isalnum() and len(made) == 13 and made.isdecimal()
        if not plain and _FBC.fullmatch(cookie) is None:
            return None
    else:
        return None
    return cookie if FBC_NEWEST < now - int(made) / 1000 < FBC_OLDEST else None


def fbp(cookie: str) -> str | None:
    """Meta's browser id from its cookie."""
    return cookie if cookie and _FBP(cookie) else None


def address(facts: Known) -> str | None:
    """The click's IP address."""
    value = facts.ip
    try:
        inet_pton(AF_INET6 if ":" in value else AF_INET, value)
    except (OSError, ValueError):
        return None
    return value


@lru_cache(maxsize=4096)
def agent(value: str) -> str | None:
    """A user agent as it came; None when absent or a digest. Few devices make most clicks."""
    return value if value.strip() and not _DIGEST.fullmatch(value) else None


def token(value: str) -> str | None:
    """A click id or cookie, unmodified; None when absent, when it holds spaces, which none of them does, or is a digest."""
    if not value or value.split(None, 1) != [value] or (len(value) == 64 and _DIGEST.fullmatch(value)):
        return None
    return value


def page(facts: Known) -> str | None:
    """The page of the click: an absolute http(s) URL; None when not known."""
    value = facts.landing_url
    return value if value and _PAGE(value) else None


@lru_cache(maxsize=4096)
def referrer(value: str) -> str | None:
    """Where the click was made, likewise. Sites name themselves and no more, and there are few."""
    return value if value and _PAGE(value) else None


@lru_cache(maxsize=1024)
def country(text: str) -> str | None:
    """Two lower-case letters."""
    value = text.lower()
    return value if _COUNTRY.fullmatch(value) and value not in _NO_COUNTRY else None


@lru_cache(maxsize=1024)
def hashed_country(text: str) -> str | None:
    """SHA-256 of the country's two lower-case letters."""
    value = country(text)
    return None if value is None else sha256(value)


def value(facts: Known) -> float | None:
    """The gross amount in USD; None when not known."""
    try:
        amount = float(facts.amount_gross)
    except ValueError:
        return None
    return amount if math.isfinite(amount) else None
