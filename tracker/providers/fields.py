"""Reading providers' fields: ids that are numbers or strings, times with and without zones, money, HTML text."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from html import unescape
from typing import Any

MOST_CENTS = 10**12
LONGEST_TEXT = 1000
_TAG = re.compile(r"<[^<>]*>")
_PRICE = re.compile(r"(\d[\d,]*(?:\.\d+)?)")
_PROFILE = re.compile(r"onlyfans\.com/u(\d{1,20})(?![\w.-])")
_CHAT = re.compile(r"/my/chats/chat/(\d{1,20})")


def fan_id(value: Any) -> str:
    """A platform user id as text; '' when there is none. Ids come as numbers and as strings."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return ""
    text = str(value).strip()
    return text if text.isascii() and text.isdigit() and len(text) <= 20 and int(text) > 0 else ""


def id_text(value: Any) -> str:
    """Any provider id as text without surprises; '' when there is none."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return ""
    text = str(value).strip()
    return text if text.isascii() and text.isprintable() and len(text) <= 128 else ""


def text(value: Any, longest: int = LONGEST_TEXT) -> str:
    """A text that PostgreSQL can hold: no NUL, no half of a surrogate pair, cut to `longest` characters."""
    if not isinstance(value, str):
        return ""
    clean = value.replace("\0", "").encode("utf-8", "replace").decode()
    return clean[:longest].strip()


def plain(value: Any) -> str:
    """HTML prose as plain text: 'Payment for message from Sam'."""
    return text(unescape(_TAG.sub("", text(value, 4 * LONGEST_TEXT))))


def moment(value: Any) -> datetime | None:
    """An aware UTC time of ISO 8601 or 'YYYY-MM-DD HH:MM:SS' text; without a zone it is UTC (upstream spec 1.8)."""
    if not isinstance(value, str) or not value.strip():
        return None
    try:
        parsed = datetime.fromisoformat(value.strip())
        parsed = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return parsed if 2000 <= parsed.year <= 2200 else None


def cents(value: Any) -> int | None:
    """USD as integer cents, exactly: from Decimal, int or numeric text. None when it is not an amount."""
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    try:
        amount = Decimal(value)
        if not amount.is_finite() or abs(amount) > MOST_CENTS / 100:
            return None
        return int((amount * 100).quantize(Decimal(1), ROUND_HALF_UP))
    except InvalidOperation:
        return None


def price(value: Any) -> int | None:
    """Cents of a price text like '$1,234.50'; 'free' is 0; None when there is no number in it."""
    if not isinstance(value, str):
        return cents(value)
    found = _PRICE.search(plain(value))
    if found is not None:
        return cents(found[1].replace(",", ""))
    return 0 if "free" in value.lower() else None


def net_of(gross_cents: int, net: Any, fee: Any) -> int:
    """Net cents: as the feed says, else gross less its fee, else less the platform's 20 % (spec 5)."""
    told = cents(net)
    if told is not None:
        return told
    taken = cents(fee)
    return gross_cents - (taken if taken is not None else (gross_cents * 20 + 50) // 100)


def fan_in(html: Any) -> str:
    """The fan a chat link or a default profile link ('/u310112051') names; '' when none does."""
    if not isinstance(html, str):
        return ""
    found = _CHAT.search(html) or _PROFILE.search(html)
    return fan_id(found[1]) if found else ""


def mapping(value: Any) -> dict[str, Any]:
    """The value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def url(value: Any) -> str | None:
    """An address fans can be sent to, None for anything else ('|' would end it early in a pool's member)."""
    address = text(value)
    return address if address.startswith(("https://", "http://")) and "|" not in address and address.isascii() else None


def count(value: Any) -> int | None:
    """A counter that PostgreSQL's integer can hold, None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None
