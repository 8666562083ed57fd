"""Recorded answers as examples to read: the same ids and hours in every recording, no secrets, short lists. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

BASE = datetime(2026, 11, 22, 10, tzinfo=UTC)  # what the begin of every recording is told as
LONGEST_LIST = 2
LONGEST_TEXT = 2000
SHORTEST_SECRET = 32
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"

# Answers that hold a secret, by its field.
SECRET_FIELDS = {
    "api_key": "cb_the-key-itself-shown-once",
    "csrf_token": "the-csrf-token-of-the-session",
    "webhook_secret": "the-secret-to-enter-at-the-provider",
    "signing_secret": "a-secret-of-yours",
    "token": "the-token-of-the-link",
}
_TOKEN = re.compile(r"([?&]token=)[\w%-]+")
_ID = re.compile(r"(?<![0-9A-Za-z])(?:[0-9a-hjkmnp-tv-z]{26}|[0-7][0-9A-HJKMNP-TV-Z]{25})(?![0-9A-Za-z])")
_NAMED = re.compile(r"(?<![0-9A-Za-z])((?:acct|team|user|evt)_)([0-9a-z]{12,40})(?![0-9A-Za-z])")
_KEY = re.compile(r"(?<![0-9A-Za-z_])cb_[0-9A-Za-z]{5}(?![0-9A-Za-z])")
_UUID = re.compile(r"(?<![0-9a-f])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-f])")
_HEX = re.compile(r"(?<![0-9A-Za-z_])(?=[0-9a-f]*[a-f])(?=[0-9a-f]*[0-9])[0-9a-f]{32,64}(?![0-9A-Za-z])")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)(?:([T ])(\d\d:\d\d:\d\d)(\.\d+)?(Z|\+00:00)?)?(?![\d])")


class Tidying:
    """One recording's names for what it saw. `addresses`: what stands for the machine's own; `began`: when the recording did."""

    def __init__(self, addresses: Mapping[str, str], began: datetime) -> None:
        self._addresses = dict(addresses)
        self._shift = BASE - began
        self._days = timedelta(days=(BASE.date() - began.date()).days)
        self._names: dict[str, int] = {}

    def tidied(self, value: Any) -> Any:
        """The value with everything in it replaced and cut short."""
        if isinstance(value, Mapping):
            return {
                self._text(key): SECRET_FIELDS[key] if _is_secret(key, each) else self.tidied(each)
                for key, each in value.items()
            }
        if isinstance(value, Sequence) and not isinstance(value, str):
            # Of a series the end: there is most to see.
            series = any(isinstance(each, Mapping) and "timestamp" in each for each in value)
            return [self.tidied(each) for each in (value[-LONGEST_LIST:] if series else value[:LONGEST_LIST])]
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> str:
        for address, shown in self._addresses.items():
            text = text.replace(address, shown)
        text = _TOKEN.sub(r"\1the-token-of-the-link", text)
        text = _KEY.sub("cb_Ab3dE", text)
        text = _UUID.sub(self._uuid, text)
        text = _NAMED.sub(lambda found: found[1] + f"{self._number(found[2]):020d}", text)
        text = _ID.sub(self._ulid, text)
        text = _HEX.sub(lambda found: f"{self._number(found[0]):x}".rjust(len(found[0]), "0"), text)
        return _MOMENT.sub(self._moment, text)[:LONGEST_TEXT]

    def _number(self, name: str) -> int:
        return self._names.setdefault(name.lower(), len(self._names) + 1)

    def _ulid(self, found: re.Match[str]) -> str:
        number, digits = self._number(found[0]), ""
        for _ in range(4):
            number, digit = divmod(number, 32)
            digits = ALPHABET[digit] + digits
        told = f"01ke2jn9rb000000000000{digits}"
        return told.upper() if found[0].isupper() else told

    def _uuid(self, found: re.Match[str]) -> str:
        return f"00000000-0000-4000-8000-{self._number(found[0]):012x}"

    def _moment(self, found: re.Match[str]) -> str:
        try:
            day = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
            if found[3] is None:
                return (day + self._days).date().isoformat()
            told = datetime.fromisoformat(f"{found[1]}T{found[3]}+00:00")
            # A day or an hour begins then: it is to begin then in the example too.
            told += self._days if found[3].endswith(":00:00") and not found[4] else self._shift
        except (ValueError, OverflowError):
            return found[0]
        return f"{told:%Y-%m-%d}{found[2]}{told:%H:%M:%S}{found[5] or ''}"


def _is_secret(key: str, value: object) -> bool:
    return key in SECRET_FIELDS and isinstance(value, str) and len(value) >= SHORTEST_SECRET


def ordered(records: Mapping[str, Any], order: Callable[[str], Any]) -> dict[str, Any]:
    """By path, as they are read."""
    return {name: records[name] for name in sorted(records, key=order)}
