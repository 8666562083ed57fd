"""Writes where a fan came from into the creator's note about the fan, through OnlyFansAPI (upstream spec 1.6).

A fan has one note, and people write there too: it is read first, and only our own line, found by its mark, is changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from postbacks import templates
from postbacks.destinations.base import Item, Kind
from postbacks.destinations.creatortraffic import judge_status
from postbacks.destinations.fan import FanAction, checked_account, said
from postbacks.destinations.onlyfans_list import SERVICE
from postbacks.destinations.pixel import document
from postbacks.egress import Answer, Request
from postbacks.schema import ConfigError, convert
from postbacks.templates import TemplateError
from postbacks.verdicts import Verdict

MARK = "[clickbind]"
LONGEST = 2000


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`account_id`: OnlyFansAPI's id of the account (`acct_...`). `text`: a template of our line in the note."""

    account_id: str
    text: str = "{smart_link_name} {external_click_id}"


class OnlyFansNote(FanAction):
    """A configured note."""

    def __init__(self, config: Config, secrets: Mapping[str, str], base_url: str) -> None:
        super().__init__(checked_account(config.account_id), secrets, base_url)
        self._text = parse_text("text", config.text)

    def render(self, items: Sequence[Item]) -> Request:
        """Read the note."""
        return Request("GET", self._url(items[0]), {"Authorization": f"Bearer {self.token}"})

    def follow_up(self, items: Sequence[Item], answers: Sequence[Answer]) -> Request | None:
        """Write it back with our line, once it was read whole."""
        if len(answers) > 1 or not 200 <= answers[0].status < 300:
            return None
        notes = _notes(answers[0])
        if notes is None:
            return None
        line = " ".join(f"{MARK} {text_of(self._text, items[0].facts)}".split())
        kept = [each for each in notes.splitlines() if not each.startswith(MARK)]
        body = msgspec.json.encode({"notes": "\n".join([*kept, line[:LONGEST]])})
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        return Request("PUT", self._url(items[0]), headers, body)

    def judge(self, items: Sequence[Item], answer: Answer) -> list[Verdict]:
        """By the HTTP status of the writing; a note that could not be read is not written over."""
        verdict = judge_status(answer, "OnlyFansAPI", said(answer))
        if verdict.outcome == "delivered" and "notice" not in _data(answer) and _notes(answer) is None:
            return [Verdict("transient", "OnlyFansAPI: the note could not be read, so nothing was written over it")]
        return [verdict]

    def _url(self, item: Item) -> str:
        return f"{self.base_url}/api/{self.account_id}/fans/{item.facts['fan_onlyfans_id']}/notes"


def _data(answer: Answer) -> dict[str, Any]:
    data = (document(answer) or {}).get("data")
    return data if isinstance(data, dict) else {}


def _notes(answer: Answer) -> str | None:
    found: Any = _data(answer) or document(answer) or {}
    notes = found.get("notes", False)
    return notes if isinstance(notes, str) else "" if notes is None else None


def parse_text(field: str, text: str) -> templates.Template:
    """A text with variables, as a JSON string's template. Raises ConfigError."""
    if not text.strip():
        raise ConfigError(field, "a text is needed")
    try:
        return templates.parse_json(msgspec.json.encode(text).decode())
    except TemplateError as error:
        raise ConfigError(field, error.message, error.position) from error


def text_of(template: templates.Template, facts: Mapping[str, str]) -> str:
    """The text with its variables replaced."""
    return msgspec.json.decode(templates.render(template, facts), type=str)


def load(config: Mapping[str, Any], secrets: Mapping[str, str], base_url: str = SERVICE.url) -> OnlyFansNote:
    """A destination from its stored configuration. Raises ConfigError."""
    return OnlyFansNote(convert(config, Config), secrets, base_url)


KIND = Kind("onlyfans_note", load, SERVICE)
