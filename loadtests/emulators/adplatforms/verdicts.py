"""What a validator reads and what it says: a parsed request, findings about it, events it accepts, the answer."""

from __future__ import annotations

import email
from collections.abc import Mapping
from typing import Any, Literal, Protocol
from urllib.parse import parse_qsl

import msgspec

from .access import Access
from .faults import Mode


class Call(msgspec.Struct, frozen=True):
    """One request. `path` is percent-encoded as on the wire and starts below any platform prefix; header names are
    lower case."""

    method: str
    path: str
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    body: bytes = b""

    @property
    def content_type(self) -> str:
        """The media type without its parameters, lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def bearer(self) -> str:
        """The bearer token, or nothing."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""

    def document(self) -> dict[str, Any] | None:
        """The body as a JSON object, or None if it is anything else."""
        try:
            parsed = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return parsed if isinstance(parsed, dict) else None

    def form(self) -> dict[str, str] | None:
        """The fields of a form body, urlencoded or multipart; None for any other body."""
        if self.content_type == "application/x-www-form-urlencoded":
            return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))
        if self.content_type != "multipart/form-data":
            return None
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        parts = email.message_from_bytes(head + self.body).walk()
        named = {part.get_param("name", header="content-disposition"): part.get_payload(decode=True) for part in parts}
        return {
            str(name): value.decode("utf-8", "replace") for name, value in named.items() if isinstance(value, bytes)
        }


class Finding(msgspec.Struct, frozen=True):
    """Something wrong with a request (`index` None) or with one of its events.

    `refused` is whether the real platform refuses it; otherwise it takes the event and loses something silently,
    which a sender should still never do. `code`, `subcode` and `title` are what the platform's answer carries.
    """

    rule: str
    text: str
    code: int | str = 0
    subcode: int = 0
    title: str = ""
    refused: bool = True
    index: int | None = None
    event_id: str | None = None

    def at(self, index: int, event: object) -> Finding:
        """The same finding, about the event at `index`."""
        found = event.get("event_id") if isinstance(event, dict) else None
        return msgspec.structs.replace(self, index=index, event_id=None if found is None else str(found))


def warning(rule: str, text: str) -> Finding:
    """A finding that the platform lets pass."""
    return Finding(rule, text, refused=False)


class Accepted(msgspec.Struct, frozen=True):
    """An event the platform takes. `keys` are what makes a copy of it a duplicate: (key, seconds it holds)."""

    name: str
    event_id: str | None
    event_time: float | None
    data: dict[str, Any]
    index: int = 0
    keys: tuple[tuple[tuple[str, ...], float], ...] = ()


class Answer(msgspec.Struct, frozen=True):
    """What is sent back: a JSON document or a text page."""

    status: int = 200
    body: dict[str, Any] | str = ""
    headers: Mapping[str, str] = {}


class Verdict(msgspec.Struct, frozen=True):
    """The outcome of one request. `validated` are events that were only looked at (Snapchat's validate URL)."""

    answer: Answer
    accepted: tuple[Accepted, ...] = ()
    findings: tuple[Finding, ...] = ()
    test_event_code: str | None = None
    validated: tuple[Accepted, ...] = ()

    @property
    def refusals(self) -> tuple[Finding, ...]:
        """The findings the platform refuses for."""
        return tuple(finding for finding in self.findings if finding.refused)


class Platform(Protocol):
    """The shape every platform module has."""

    @property
    def MODES(self) -> frozenset[str]:
        """Modes of this platform alone, which bend its judgement."""

    def pixel_of(self, call: Call, access: Access) -> str:
        """The pixel, pixel code or account a request is for; "" if it does not say."""

    def judge(self, call: Call, now: float, access: Access, mode: Mode = ...) -> Verdict:
        """Judge a request at `now`, seconds since the epoch."""

    def failure(self, mode: Mode) -> Answer:
        """The platform's own error answer for `mode.code`, `mode.subcode`, `mode.status`."""


Severity = Literal["refused", "warning"]
