"""Checks of single values that the platforms share."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Any

EMPTY_HASH = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""SHA-256 of nothing: what a sender makes of a missing value."""
_HASH = re.compile(r"[0-9a-f]{64}")
_HASH_ANY_CASE = re.compile(r"[0-9a-fA-F]{64}")


def words(text: str) -> tuple[str, ...]:
    """The words of a long list, readable in the source."""
    return tuple(text.split())


def is_one_of(value: object, options: frozenset[str]) -> bool:
    """One of the texts; a list or an object is none of them."""
    return isinstance(value, str) and value in options


def is_hash(value: object) -> bool:
    """64 lower-case hexadecimal digits."""
    return isinstance(value, str) and _HASH.fullmatch(value) is not None


def looks_hashed(value: object) -> bool:
    """A digest in either case, where none belongs."""
    return isinstance(value, str) and _HASH_ANY_CASE.fullmatch(value) is not None


def values_of(value: Any) -> list[Any]:
    """A field that may hold one value or a list of them, as a list."""
    return value if isinstance(value, list) else [value]


def is_integer(value: object) -> bool:
    """A whole number that JSON wrote as one; `true` is not."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """A JSON number; `true` is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_address(value: object) -> bool:
    """An IPv4 or IPv6 address in text, without a port or a zone."""
    return isinstance(value, str) and "%" not in value and _parses(value)


@lru_cache(maxsize=4096)
def _parses(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


def is_page(value: object) -> bool:
    """An absolute http(s) URL."""
    return isinstance(value, str) and re.fullmatch(r"https?://[^\s/]+\S*", value) is not None


CURRENCIES = frozenset(
    words(
        """AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF
    CHE CHF CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ
    GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD
    MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG
    QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS
    UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG"""
    )
)
"""ISO 4217 codes in use."""
