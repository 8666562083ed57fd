"""What an ad platform matches an event to a person by (capi spec sections 1 to 3), and what a conversion is worth.

Everything comes from the click's facts: platform click ids, cookies, address, user agent, page. What is malformed or stale
is left out, never sent: one bad field refuses a whole batch. No email, phone or name is known here at all.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache

_FBC = re.compile(r"fb\.\d\.(\d{13})\.([^\s.]+)(?:\.\S+)?")
_FBP = re.compile(r"fb\.\d\.\d{13}\.\d+(?:\.\S+)?")
_PAGE = re.compile(r"https?://[^\s/]+\S*")
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
_COUNTRY = re.compile(r"[a-z]{2}")
_NO_COUNTRY = {"xx", "zz"}
FBC_DAYS = 90.0
DAY = 86400.0
HOUR = 3600.0

Facts = Mapping[str, str]


@lru_cache(maxsize=4096)
def sha256(text: str) -> str:
    """Lower-case hex SHA-256 of a text that is normalised already."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def external_id(facts: Facts) -> str | None:
    """SHA-256 of the trimmed, lower-cased ecid (spec section 11); None without one."""
    text = facts.get("external_click_id", "").strip().lower()
    return sha256(text) if text else None


def fbc(facts: Facts, now: datetime) -> str | None:
    """Meta's click id with its time: the cookie while it belongs to the newest fbclid, else made from the click.

    None when malformed, older than 90 days or from the future (capi spec 1.6).
    """
    fbclid, cookie = facts.get("fbclid", ""), facts.get("_fbc", "")
    kept = _FBC.fullmatch(cookie)
    if kept is None or (fbclid and kept[2] != fbclid):
        cookie = f"fb.1.{facts.get('_click_ms', '')}.{fbclid}"
        kept = _FBC.fullmatch(cookie) if fbclid else None
    if kept is None:
        return None
    age = now.timestamp() - int(kept[1]) / 1000
    return cookie if -DAY + HOUR < age < FBC_DAYS * DAY - HOUR else None


def fbp(facts: Facts) -> str | None:
    """Meta's browser id from its cookie."""
    value = facts.get("_fbp", "")
    return value if _FBP.fullmatch(value) else None


@lru_cache(maxsize=4096)
def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def address(facts: Facts) -> str | None:
    """The click's IP address."""
    value = facts.get("_ip", "")
    return value if _is_address(value) else None


def clear(facts: Facts, name: str) -> str | None:
    """A value that goes out as it came; None when absent or a digest, which a platform refuses here."""
    value = facts.get(name, "")
    return value if value.strip() and not _DIGEST.fullmatch(value) else None


def token(facts: Facts, name: str) -> str | None:
    """A click id or cookie, unmodified; None when it holds spaces, which none of them does."""
    value = clear(facts, name)
    return None if value is None or len(value.split()) != 1 or value != value.strip() else value


def page(facts: Facts, name: str) -> str | None:
    """An absolute http(s) URL."""
    value = facts.get(name, "")
    return value if _PAGE.fullmatch(value) else None


def country(facts: Facts) -> str | None:
    """Two lower-case letters."""
    value = facts.get("country", "").lower()
    return value if _COUNTRY.fullmatch(value) and value not in _NO_COUNTRY else None


def value(facts: Facts) -> float | None:
    """The gross amount in USD; None when not known."""
    try:
        amount = float(facts.get("amount_gross", ""))
    except ValueError:
        return None
    return amount if math.isfinite(amount) else None


def present(fields: dict[str, object | None]) -> dict[str, object]:
    """Without what is absent: platforms warn of empty fields."""
    return {name: found for name, found in fields.items() if found is not None}
