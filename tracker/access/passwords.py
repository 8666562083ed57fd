"""Passwords: rules, hashing with scrypt, checking in constant time whether or not there is a person.

Rules after NIST SP 800-63B: length rather than kinds of characters, nothing that is guessed first, all of Unicode.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import unicodedata
from dataclasses import dataclass

from tracker.management.errors import Invalid

SHORTEST, LONGEST = 10, 200
_AT_ONCE = 2  # hashes computed side by side in a process: each takes 32 MB and a core for a tenth of a second
_GUESSED_FIRST = (
    "password", "passw0rd", "qwerty", "azerty", "letmein", "welcome", "iloveyou", "changeme", "admin", "clickbind", "secret",
    "onlyfans", "0123456789", "1234567890", "abcdefgh", "1q2w3e4r", "monkey", "dragon", "football", "baseball", "superman", "trustno1",
)  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """scrypt's parameters: 128 · n · r bytes of memory, p times over (OWASP: n = 2^15, r = 8, p = 3)."""

    n: int = 2**15
    r: int = 8
    p: int = 3


COST = Cost()
_busy = asyncio.Semaphore(_AT_ONCE)


def check(password: str, email: str = "", field: str = "password") -> None:
    """Raises Invalid naming the field when a password is too short, too long, or among what is guessed first."""
    text = _normal(password)
    problem = None
    rest = text.lower()
    for word in (*_GUESSED_FIRST, email.lower(), email.lower().partition("@")[0]):
        if len(word) > 3:
            rest = rest.replace(word, "")
    if len(text) < SHORTEST:
        problem = f"The password must have at least {SHORTEST} characters; a few words are easy to remember."
    elif len(text) > LONGEST:
        problem = f"The password must have at most {LONGEST} characters."
    elif len(set(text)) < 5 or len(rest) < 6:
        problem = "This password is too easy to guess: repeats, common words and your own name do not count."
    if problem:
        raise Invalid({field: [problem]})


async def hashed(password: str) -> str:
    """What is stored of a password: `scrypt$n$r$p$salt$hash`."""
    salt = os.urandom(16)
    async with _busy:
        digest = await asyncio.to_thread(_scrypt, password, salt, COST)
    return "$".join(["scrypt", str(COST.n), str(COST.r), str(COST.p), _text(salt), _text(digest)])


async def matches(password: str, stored: str | None) -> bool:
    """Whether a password is the stored one. Takes as long when nothing is stored, so that nobody learns who exists."""
    cost, salt, expected = _parts(stored) if stored else (COST, b"no such person..", b"")
    if len(password) > LONGEST * 4:
        password = ""
    async with _busy:
        digest = await asyncio.to_thread(_scrypt, password, salt, cost)
    return hmac.compare_digest(digest, expected)


def _normal(password: str) -> str:
    return unicodedata.normalize("NFKC", password)


def _scrypt(password: str, salt: bytes, cost: Cost) -> bytes:
    text = _normal(password).encode("utf-8", "surrogatepass")
    memory = 128 * cost.n * cost.r * 2 + (1 << 20)
    return hashlib.scrypt(text, salt=salt, n=cost.n, r=cost.r, p=cost.p, maxmem=memory, dklen=32)


def _parts(stored: str) -> tuple[Cost, bytes, bytes]:
    _, n, r, p, salt, digest = stored.split("$")
    return Cost(int(n), int(r), int(p)), base64.b64decode(salt), base64.b64decode(digest)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
