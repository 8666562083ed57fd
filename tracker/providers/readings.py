"""What a webhook says once it is understood, and how every provider's reader checks and understands one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from tracker.providers.base import Job, SessionState
from tracker.providers.events import PlatformEvent


class Unintelligible(Exception):
    """A payload lacks what makes it usable. The message says what, for the operator who looks at the quarantine."""


class SessionChange(msgspec.Struct, frozen=True):
    """The creator's login changed at platform time `at` (None: not told)."""

    state: SessionState
    message: str
    at: datetime | None = None


class Wake(msgspec.Struct, frozen=True):
    """An account job to run soon. `debounce`: wait for the settings' debounce first."""

    job: Job
    debounce: bool = False
    urgent: bool = False  # the reason the job was backing off is gone


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a webhook says. `note` explains an empty reading; `rejected` marks one a person should look at."""

    events: tuple[PlatformEvent, ...] = ()
    wakes: tuple[Wake, ...] = ()
    session: SessionChange | None = None
    rejected: bool = False
    note: str = ""


class WebhookReader(Protocol):
    """How a provider's webhooks are checked and understood. Pure: no I/O."""

    def verified(self, headers: dict[str, str], body: bytes, secrets: Sequence[str]) -> bool:
        """Whether the body was signed with one of `secrets`. Header names are lower case."""

    def dedup_key(self, headers: dict[str, str], body: bytes) -> str:
        """What is the same for every copy of one delivery."""

    def envelope(self, body: bytes) -> tuple[str, str]:
        """(event type, provider account id or ''). Raises Unintelligible when the body is not such an object."""

    def read(self, body: bytes, creator_id: str) -> Reading:
        """Understand a stored body. Raises Unintelligible."""
