"""Keeping secrets out of what is stored about an attempt: by parameter name, by header name, and by known value."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

MASK = "***"
_NAME = (
    r"(?:[\w.\-\[\]%]*(?:token|secret|passw|api_?key|api-key|signature|credential)[\w.\-\[\]%]*"
    r"|key|auth|sig|hmac|pwd|pass|jwt|bearer|authorization)"
)
_HINTS = ("token", "secret", "pass", "key", "sig", "credential", "auth", "hmac", "pwd", "jwt", "bearer")
_PARAMETER = re.compile(rf"((?:^|[?&\s])(?i:{_NAME})=)([^&\s#]*)", re.MULTILINE)
_JSON_FIELD = re.compile(rf'("(?i:{_NAME})"\s*:\s*)("(?:[^"\\]|\\.)*"|[^\s,}}\]]+)')
_HEADER = re.compile(rf"(?i:.*auth.*|cookie|x-?key|{_NAME})\Z")
SHORTEST_SECRET = 4  # a shorter value would mask half of every text it is searched in


def is_secret_header(name: str) -> bool:
    """Whether a header of this name holds a credential."""
    return _HEADER.match(name) is not None


def secret_parameters(text: str) -> list[str]:
    """The values of secret-looking query, form or JSON parameters in a text, as written and percent-decoded."""
    values = [match.group(2) for match in _PARAMETER.finditer(text)]
    values += [match.group(2).strip('"') for match in _JSON_FIELD.finditer(text)]
    return [form for value in values for form in {value, unquote(value)}]


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text with secret-looking parameters and every given secret value masked."""
    lowered = text.lower()
    if any(hint in lowered for hint in _HINTS):  # rarely true, and far cheaper than the patterns
        text = _PARAMETER.sub(rf"\1{MASK}", text)
        text = _JSON_FIELD.sub(rf'\1"{MASK}"', text)
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, MASK)
    return text


def storable(text: str, limit: int) -> str:
    """The text as PostgreSQL can keep it: no NUL, no lone surrogates, at most `limit` characters."""
    text = text[:limit].replace("\x00", "\ufffd")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
