"""What every platform provider is to the rest of the tracker: value types, one error, one shape of account client.

A provider hands out normalised values only. Money is integer cents (USD), times are aware UTC datetimes, ids are text.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

import msgspec

from tracker.providers.events import EXACT, PlatformEvent, message_event

LinkKind = Literal["tracking_link", "free_trial"]
ErrorKind = Literal["transient", "throttled", "session", "auth", "permanent", "ours"]
SessionState = Literal["ok", "reconnecting", "dead", "unknown"]
Job = Literal["reconcile", "transactions", "pools", "session", "messages"]
EdgeSource = Literal["lists", "feed", "counters"]
ALL_KINDS: tuple[LinkKind, ...] = ("tracking_link", "free_trial")


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider can do, and what it has to be asked for.

    kinds            the kinds of links it has
    creates          those it can make; links of other kinds are found in its lists, if the account says which
    edges            how a fan's link becomes known: from each link's subscriber list, from one feed of all link users, or only
                     guessed from counters that moved
    tells_fans       whether webhooks tell of new subscribers; else its newest fans are asked for at every look
    names_payers     whether the money feed names the fan
    looks_every      seconds between looks for new subscribers; None: as the settings say
    money_lag        how long after its time a payment may show up in the money feed
    messages         told by webhooks and read after a gap | polled, since no webhook tells them | cannot be read
    """

    kinds: tuple[LinkKind, ...] = ALL_KINDS
    creates: tuple[LinkKind, ...] = ALL_KINDS
    edges: EdgeSource = "lists"
    tells_fans: bool = True
    names_payers: bool = True
    looks_every: float | None = None
    money_lag: timedelta = timedelta(minutes=15)
    messages: Literal["told", "polled", "unreadable"] = "told"


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


class ProviderLink(msgspec.Struct, frozen=True, kw_only=True):
    """A tracking or trial link as the provider lists it."""

    kind: LinkKind
    provider_link_id: str
    name: str
    url: str | None = None  # None: the provider does not say; `code` makes it
    code: str = ""  # OnlyFans' tracking links: the creator's campaign number
    path: str = ""  # where else the link stands under the creator's page, when neither `url` nor `code` tells
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


class LinkUse(msgspec.Struct, frozen=True, kw_only=True):
    """A fan who subscribed through a link, from a feed of all links. `collected_at`: when the provider learnt of it."""

    kind: LinkKind
    provider_link_id: str
    fan_id: str
    subscribed_at: datetime
    collected_at: datetime
    username: str = ""
    name: str = ""


class Chat(msgspec.Struct, frozen=True):
    """A chat with a fan; `last_at` None: the provider does not tell when something was last written."""

    fan_id: str
    last_at: datetime | None = None


class ChatMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a chat, of the fan or of the creator."""

    message_id: str
    at: datetime
    from_fan: bool
    is_tip: bool = False

    def event(self, fan_id: str) -> PlatformEvent:
        """The fact as the fold reads it."""
        return message_event(self.message_id, fan_id, self.at, is_tip=self.is_tip)


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """A payment. Gross is what the fan paid without tax; `type` and `status` are in our vocabulary (spec 5).

    `fan_id` '' : this feed does not tell. `id_uncertain`: the id may be the chargeback's own, not the payment's.
    """

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
    id_uncertain: bool = False

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


class AccountClient(Protocol):
    """One account at one provider. Every method may raise ProviderError.

    What not every provider has comes with an empty answer here; the traits say whether to ask.
    """

    @property
    def traits(self) -> Traits:
        """What the provider can do."""

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

    async def delete_link(self, kind: LinkKind, provider_link_id: str) -> None:
        """Take a link off the platform. One that is gone already is no error."""
        raise ProviderError("permanent", "This provider cannot delete links; delete it on the platform.")

    def subscribers(self, kind: LinkKind, provider_link_id: str) -> AsyncIterator[list[LinkSubscriber]]:
        """A link's subscribers, page by page, in the provider's order (usually newest first)."""

    def latest_fans(self) -> AsyncIterator[list[LinkSubscriber]]:
        """Fans by their newest subscription, newest first, with its exact time where the provider tells it."""
        return nothing()

    def link_users(self, kind: LinkKind, since: datetime) -> AsyncIterator[list[LinkUse]]:
        """Everybody collected from `since` on who came through a link, in the provider's order."""
        return nothing()

    def chats(self) -> AsyncIterator[list[Chat]]:
        """Chats by their latest activity, latest first; empty where the provider does not list them."""
        return nothing()

    def messages(self, fan_id: str) -> AsyncIterator[list[ChatMessage]]:
        """A chat, newest first, page by page."""
        return nothing()

    def transactions(self, since: datetime) -> AsyncIterator[list[Transaction]]:
        """Payments from `since` on, newest first; rows may repeat between pages."""

    def chargebacks(self, since: datetime) -> AsyncIterator[list[Transaction]]:
        """Payments taken back since then, as transactions; `type` is '' when the feed does not tell it."""


async def nothing() -> AsyncIterator[list[Any]]:
    """No pages."""
    pages: tuple[list[Any], ...] = ()
    for page in pages:
        yield page
