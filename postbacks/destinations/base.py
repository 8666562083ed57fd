"""The shape every kind of destination has. One module per kind, one line in the registry, nothing else.

A destination renders a batch of events into one request and judges the answer per event. It does no I/O: the dispatcher
sends through egress and keeps the book.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from postbacks.egress import Answer, Request
from postbacks.verdicts import Verdict


class Item(msgspec.Struct, frozen=True):
    """One event as a destination sees it. `facts`: template variables and further keys, to text."""

    event_id: str
    event_type: str
    occurred_at: datetime
    facts: dict[str, str]


class Destination(Protocol):
    """A configured destination, ready to render. Instances are immutable and shared by concurrent sends.

    `batch_size`: most events one request may carry. `secrets`: values that must not appear in what is stored.
    """

    @property
    def batch_size(self) -> int: ...

    @property
    def secrets(self) -> tuple[str, ...]: ...

    def render(self, items: Sequence[Item]) -> Request:
        """The request that tells these events (1 to `batch_size`). Pure: the same events give the same request."""

    def judge(self, items: Sequence[Item], answer: Answer) -> list[Verdict]:
        """One verdict per event, in their order."""


class Kind(msgspec.Struct, frozen=True):
    """A registry entry. `load(config, secrets)` validates and builds; it raises ConfigError naming the field."""

    name: str
    load: Callable[[Mapping[str, Any], Mapping[str, str]], Destination]
