"""Keeping secrets out of what is stored about an attempt: by parameter name, by header name, and by known value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from urllib.parse import unquote

MASK = "***"
_PARTS = ("token", "secret", "passw", "apikey", "api_key", "api-key", "signature", "credential")
_WHOLE = frozenset({"key", "auth", "sig", "hmac", "pwd", "pass", "jwt", "bearer", "authorization"})
# One of these is in whatever holds a name of the above: searched for first, so the fewest that cover them all.
_HINTS = ("token", "secret", "pass", "key", "sig", "credential", "auth", "hmac", "pwd", "jwt", "bearer")
# Names are taken whole and judged in Python: one pattern with the words in it would backtrack quadratically.
_PARAMETER = re.compile(r"((?:^|[?&\s])([\w.\-\[\]%]+)=)([^&\s#]*)", re.MULTILINE)
_JSON_FIELD = re.compile(r'("([\w.\-\[\]%]+)"\s*:\s*)("(?:[^"\\]|\\.)*"|[^\s,}\]]+)')
SHORTEST_SECRET = 4  # a shorter value would mask half of every text it is searched in


def is_secret_name(name: str) -> bool:
    """Whether a parameter of this name usually holds a credential."""
    lowered = name.lower()
    return lowered in _WHOLE or any(part in lowered for part in _PARTS)


def is_secret_header(name: str) -> bool:
    """Whether a header of this name usually holds a credential."""
    return is_secret_name(name) or "auth" in name.lower() or name.lower() in ("cookie", "x-key")


def secret_parameters(text: str) -> list[str]:
    """The values of secret-looking query, form or JSON parameters in a text, as written and percent-decoded."""
    values = [value for _, name, value in _PARAMETER.findall(text) if is_secret_name(name)]
    values += [value.strip('"') for _, name, value in _JSON_FIELD.findall(text) if is_secret_name(name)]
    return [form for value in values for form in {value, unquote(value)}]


def _hinted(text: str) -> bool:
    """Whether a name of the above may be in there: rarely, and far cheaper to tell than the patterns are to run."""
    lowered = text.lower()
    for hint in _HINTS:  # noqa: SIM110 - a generator would cost thrice the search
        if hint in lowered:
            return True
    return False


@lru_cache(maxsize=4096)
def _plain_name(name: str) -> bool:
    # Landing pages have few parameters in all, and the same ones every time.
    return not is_secret_name(name)


def harmless_urls(urls: str) -> bool:
    """Whether no parameter of these URLs, a line each, is named like a secret; no for some, oddly written, where none is."""
    if '"' in urls:  # JSON has names of its own
        return False
    parameters = set(urls.replace("?", "&").replace("\n", "&").split("&"))  # most come again and again
    return all(map(_plain_name, {parameter.partition("=")[0] for parameter in parameters}))


@lru_cache(maxsize=4096)
def harmless_text(text: str) -> bool:
    """Whether nothing in a text is named like a secret. For texts that come again and again, as user agents do."""
    return redact(text) == text


def redact_all(texts: Sequence[str], secrets: Sequence[str] = ()) -> Sequence[str]:
    """`redact` of each text. What none of them holds is looked for once, not once in each."""
    together = "\n".join(texts)
    if _hinted(together) or any(len(secret) >= SHORTEST_SECRET and secret in together for secret in secrets):
        return [redact(text, secrets) for text in texts]
    return texts


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text with secret-looking parameters and every given secret value masked."""
    if _hinted(text):
        text = _PARAMETER.sub(_mask, text)
        text = _JSON_FIELD.sub(_mask, text)
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, MASK)
    return text


def storable(text: str, limit: int) -> str:
    """The text as PostgreSQL can keep it: no NUL, no lone surrogates, at most `limit` characters."""
    text = text[:limit].replace("\x00", "\ufffd")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _mask(match: re.Match[str]) -> str:
    if not is_secret_name(match.group(2)):
        return match.group()
    return match.group(1) + (f'"{MASK}"' if match.re is _JSON_FIELD else MASK)
