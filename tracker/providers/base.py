"""What every platform provider is to the rest of the tracker: value types, one error, one shape of account client.

A provider hands out normalised values only. Money is integer cents (USD), times are aware UTC datetimes, ids are text.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec

LinkKind = Literal["tracking_link", "free_trial"]
ErrorKind = Literal["transient", "throttled", "session", "auth", "permanent", "ours"]
EventKind = Literal["subscribed", "link_subscriber", "transaction", "message"]
SessionState = Literal["ok", "reconnecting", "dead", "unknown"]
Job = Literal["reconcile", "transactions", "pools", "session"]

EXACT, MINUTE, FIRST_SEEN = 0, 60, -1
"""`precision_seconds` of a platform event: exact; floored to the minute; no platform time, only when we first saw it."""


class ProviderError(Exception):
    """A provider call failed.

    kind        transient (try again soon) | throttled (slow down) | session (the creator's login is down) |
                auth (our API key is refused) | permanent (this request will never work) | ours (a defect here)
    retry_after seconds the provider asked for; None: it did not say, or said 0
    uncertain   a write may have happened all the same (time-out, gateway page)
    status      HTTP status, None when there was no answer
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        retry_after: float | None = None,
        uncertain: bool = False,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.kind: ErrorKind = kind
        self.message = message
        self.retry_after = retry_after
        self.uncertain = uncertain
        self.status = status


class Unintelligible(Exception):
    """A payload lacks what makes it usable. The message says what, for the operator who looks at the quarantine."""


class ProviderLink(msgspec.Struct, frozen=True, kw_only=True):
    """A tracking or trial link as the provider lists it."""

    kind: LinkKind
    provider_link_id: str
    name: str
    url: str | None = None  # None: the provider does not say; `code` makes it
    code: str = ""  # tracking links: the creator's campaign number
    clicks: int | None = None
    subscribers: int | None = None  # None: not told by this call
    claim_limit: int | None = None  # trials; None: unlimited
    trial_days: int | None = None
    expires_at: datetime | None = None
    created_at: datetime | None = None
    finished: bool = False  # trials: used up or expired


class TrialTerms(msgspec.Struct, frozen=True):
    """What a trial link offers: length in days, how many fans may claim it, days until the offer ends."""

    days: int
    claim_limit: int
    offer_days: int


class LinkSubscriber(msgspec.Struct, frozen=True):
    """A fan in a link's subscriber list; `subscribed_at` only where the provider tells it (exact)."""

    fan_id: str
    username: str = ""
    name: str = ""
    subscribed_at: datetime | None = None


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """A payment. Gross is what the fan paid without tax; `type` and `status` are in our vocabulary (spec 5)."""

    transaction_id: str
    at: datetime
    type: str  # new_subscription | recurring_subscription | tip | post | message | stream | other; '' = not told
    gross_cents: int
    net_cents: int
    status: str  # loading | done | pending_return | undo
    description: str
    fan_id: str
    username: str = ""
    name: str = ""

    def event(self) -> PlatformEvent:
        """The fact as the fold reads it. A later status is a fact of its own."""
        return PlatformEvent(
            event_key=f"tx:{self.transaction_id}:{self.status}",
            kind="transaction",
            fan_id=self.fan_id,
            at=self.at,
            precision_seconds=EXACT,
            username=self.username,
            name=self.name,
            detail={
                "transaction_id": self.transaction_id,
                "type": self.type or "other",
                "gross_cents": self.gross_cents,
                "net_cents": self.net_cents,
                "status": self.status,
                "description": self.description,
                "username": self.username,
                "name": self.name,
            },
        )


class AccountInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A creator's account as the provider knows it. `session` is the login's state, `session_message` plain words."""

    provider_account_id: str
    platform_user_id: str
    username: str
    display_name: str
    session: SessionState
    session_message: str = ""
    subscribe_price_cents: int | None = None


class PlatformEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One thing the platform is known to have done. `event_key` identifies the fact, whoever told it."""

    event_key: str
    kind: EventKind
    fan_id: str
    at: datetime
    precision_seconds: int
    detail: dict[str, Any]
    username: str = ""
    name: str = ""
    inventory_link_id: int | None = None


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


class AccountClient(Protocol):
    """One account at one provider. Every method may raise ProviderError."""

    @property
    def calls(self) -> int:
        """Requests sent so far, retries included."""

    async def info(self) -> AccountInfo:
        """Who the creator is and whether their session lives."""

    def links(self, kind: LinkKind, *, newest_first: bool = False) -> AsyncIterator[list[ProviderLink]]:
        """All links of a kind, page by page, in creation order unless `newest_first`."""

    async def link_exists(self, kind: LinkKind, provider_link_id: str) -> bool:
        """Whether the platform still has the link."""

    async def create_link(self, kind: LinkKind, name: str, terms: TrialTerms | None) -> ProviderLink:
        """Make a link, asking once only. An `uncertain` ProviderError may have made it."""

    def subscribers(self, kind: LinkKind, provider_link_id: str) -> AsyncIterator[list[LinkSubscriber]]:
        """A link's subscribers, page by page, in the provider's order (usually newest first)."""

    def latest_fans(self) -> AsyncIterator[list[LinkSubscriber]]:
        """Fans by their newest subscription, newest first, with its exact time where the provider tells it."""

    def transactions(self, since: datetime) -> AsyncIterator[list[Transaction]]:
        """Payments from `since` on, newest first; rows may repeat between pages."""

    def chargebacks(self, since: datetime) -> AsyncIterator[list[Transaction]]:
        """Payments taken back since then, as transactions; `type` is '' when the feed does not tell it."""


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
