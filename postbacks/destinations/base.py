"""The shape every kind of destination has. One module per kind, one line in the registry, nothing else.

A destination renders a batch of events into one request and judges the answer per event. It does no I/O: the dispatcher
sends through egress and keeps the book.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from postbacks.egress import Answer, Request
from postbacks.verdicts import Verdict

MOST_READ = 12  # facts that the claim statement can tell side by side


class Item(msgspec.Struct, frozen=True, gc=False):
    """One event as a destination sees it. `facts`: template variables and further keys, to text, of those its kind `reads`."""

    event_id: str
    event_type: str
    occurred_at: datetime
    facts: dict[str, str]


class Told(msgspec.Struct, frozen=True):
    """Events as a destination sees many of them: side by side, each in the same place of every list.

    `occurred`: Unix seconds. `facts`: by name, the texts, empty where nothing is known.
    """

    event_ids: list[str]
    event_types: list[str]
    occurred: list[float]
    facts: Mapping[str, list[str]]


class Destination(Protocol):
    """A configured destination, ready to render. Instances are immutable and shared by concurrent sends.

    `batch_size`: most events one request may carry. `secrets`: values that must not appear in what is stored.
    `event_types`: the conversion types it can be told of; empty where its owner names them. `dedup_seconds`: how long
    after an attempt of unknown outcome an event may be sent again; None for ever. `reads`: the facts it needs of an event,
    MOST_READ at most; none where it may need any.
    """

    @property
    def reads(self) -> tuple[str, ...]: ...

    @property
    def batch_size(self) -> int: ...

    @property
    def secrets(self) -> tuple[str, ...]: ...

    @property
    def event_types(self) -> tuple[str, ...]: ...

    @property
    def dedup_seconds(self) -> float | None: ...

    def screen(self, item: Item, now: datetime) -> Verdict | None:
        """`skipped` or `permanent` for an event that is not to be sent, else None. One bad event sinks a whole batch."""

    def render(self, items: Sequence[Item]) -> Request:
        """The request that tells these events (1 to `batch_size`). Pure: the same events give the same request."""

    def follow_up(self, items: Sequence[Item], answers: Sequence[Answer]) -> Request | None:
        """The next request of the same attempt, given the answers so far; None when there is none."""

    def judge(self, items: Sequence[Item], answer: Answer) -> list[Verdict]:
        """One verdict per event, in their order, from the last answer."""


class Plain:
    """What most destinations have in common: one request per event, anything may be sent, now and again."""

    reads: tuple[str, ...] = ()
    batch_size: int = 1
    event_types: tuple[str, ...] = ()
    dedup_seconds: float | None = None

    def screen(self, item: Item, now: datetime) -> Verdict | None:
        """Everything is to be sent."""
        return None

    def follow_up(self, items: Sequence[Item], answers: Sequence[Answer]) -> Request | None:
        """One request is enough."""
        return None


class Batching(Plain, ABC):
    """A destination that takes many events at once, and works on them side by side: a call for each would cost the most."""

    secrets: tuple[str, ...]

    @abstractmethod
    def render(self, items: Sequence[Item]) -> Request:
        """The request that tells these events; all have been screened."""

    @abstractmethod
    def judge(self, items: Sequence[Item], answer: Answer) -> list[Verdict]:
        """One verdict per event."""

    @abstractmethod
    def write(self, told: Told, now: float, refused: dict[int, Verdict]) -> list[msgspec.Struct]:
        """What is to be sent of these events, in their order, as it stands in the request; `now` in Unix seconds.

        Those not to be sent, which `screen` has a verdict on, are added to `refused` by their place; what is in there is left out.
        """

    @abstractmethod
    def harmless(self, told: Told) -> bool:
        """Whether nothing that is written of these is a secret of ours, or named like one. No for some where nothing is."""

    @abstractmethod
    def envelope(self) -> Request:
        """The request without events: its body ends where their JSON array begins, after which there is but a brace."""


def sealed(envelope: Request, body: bytearray, *, harmless: bool) -> Request:
    """The request in this envelope; `body` is the envelope's, with the array of events added to it."""
    begin = len(envelope.body or b"")
    body += b"}"
    events = memoryview(body)[begin:-1]  # a copy of a megabyte costs as much as making some of the events
    return msgspec.structs.replace(envelope, body=body, events=events, harmless=harmless)


class Service(msgspec.Struct, frozen=True):
    """An outside API that a kind of destination talks to: the name of its setting (`<name>_url`) and where it usually is."""

    name: str
    url: str


class Kind(msgspec.Struct, frozen=True):
    """A registry entry. `load(config, secrets)` validates and builds; it raises ConfigError naming the field.

    With a `service`, `load` takes its base URL as a third argument. `reads`: the facts it needs, MOST_READ at most, if it takes
    them side by side (`Told`).
    """

    name: str
    load: Callable[..., Destination]
    service: Service | None = None
    reads: tuple[str, ...] = ()
