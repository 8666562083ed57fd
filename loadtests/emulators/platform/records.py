"""The things of the platform's world (upstream spec 6.1). Money is integer cents, times are virtual UTC."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

LinkKind = Literal["tracking", "trial"]
SessionState = Literal["active", "expired", "reauthenticating", "failed"]
Network = Literal["onlyfans", "fansly"]

VENDORS = ("onlyfansapi", "onlymonster", "ofauth")
"""Who can be connected to an OnlyFans account; Fansly is reached through OnlyFansAPI only."""


@dataclass(slots=True)
class Account:
    """A connected creator. `subscribe_price` 0 = a free page. `vendors` are those it is connected to; each has
    an id of its own for it. `outages` are spans in which nobody could read the account."""

    id: str
    onlyfans_id: int
    username: str
    name: str
    subscribe_price: int
    created_at: datetime
    platform: Network = "onlyfans"
    vendors: tuple[str, ...] = VENDORS
    onlymonster_id: int = 0
    session_state: SessionState = "active"
    session_epoch: int = 0
    session_started_at: datetime | None = None
    session_completed_at: datetime | None = None
    last_campaign_code: int = 0
    notes: dict[int, str] = field(default_factory=dict)
    custom_names: dict[int, str] = field(default_factory=dict)
    outages: list[tuple[datetime, datetime | None]] = field(default_factory=list)

    @property
    def connection_id(self) -> str:
        """OFAuth's id of it."""
        return "conn_" + self.id.removeprefix("acct_")

    @property
    def fansly_id(self) -> int:
        """Fansly's own number of the creator."""
        return fansly_id(self.onlyfans_id)

    def read_at(self, moment: datetime) -> datetime | None:
        """When a reader that comes by at `moment` really gets through; None while an outage lasts."""
        for start, end in self.outages:
            if start <= moment and (end is None or moment < end):
                return end
        return moment


def fansly_id(number: int) -> int:
    """A snowflake made of one of this world's numbers: the same person on Fansly."""
    return 500_000_000_000_000_000 + (number << 22)


@dataclass(slots=True)
class Link:
    """A tracking link (`code` = small number per creator) or a trial link (`code` = 32 alphanumerics)."""

    id: int
    kind: LinkKind
    account_id: str
    name: str
    code: str
    created_at: datetime
    tags: list[str] = field(default_factory=list)
    days: int = 0
    offer_limit: int = 0
    expires_at: datetime | None = None
    deleted_at: datetime | None = None
    clicks: list[datetime] = field(default_factory=list)
    claims: int = 0
    description: str = ""
    follows: list[datetime] = field(default_factory=list)


@dataclass(slots=True)
class Fan:
    """A platform user, the same person on every account."""

    id: int
    username: str
    name: str
    pays_vat: bool = False

    @property
    def fansly_id(self) -> int:
        """The same person's id on Fansly."""
        return fansly_id(self.id)


@dataclass(slots=True)
class Subscription:
    """One subscribe act. `counted_at` and `listed_at` are when counters and lists begin to show it."""

    id: int
    account_id: str
    fan_id: int
    link_id: int | None
    link_kind: LinkKind | None
    at: datetime
    expires_at: datetime
    price: int
    type: Literal["trial", "regular", "auto"]
    counted_at: datetime
    listed_at: datetime
    returning: bool = False
    renewal: bool = False
    transaction_id: str | None = None
    notification_id: str | None = None


@dataclass(slots=True)
class Transaction:
    """A payment. Gross `amount` excludes `vat`; the platform keeps 20 %."""

    id: str
    account_id: str
    fan_id: int
    type: str
    amount: int
    vat: int
    at: datetime
    visible_at: datetime
    done_at: datetime
    description: str
    tips_source: str | None = None
    returned_at: datetime | None = None
    undone_at: datetime | None = None

    @property
    def fee(self) -> int:
        """The platform's 20 %, cents, rounded half up."""
        return (self.amount * 20 + 50) // 100

    @property
    def net(self) -> int:
        """What the creator gets, cents."""
        return self.amount - self.fee

    def status(self, now: datetime) -> str:
        """`loading`, `done`, `pending_return` or `undo` as seen at `now`."""
        if self.undone_at is not None and now >= self.undone_at:
            return "undo"
        if self.returned_at is not None and now >= self.returned_at:
            return "pending_return"
        return "done" if now >= self.done_at else "loading"


@dataclass(slots=True)
class Message:
    """A chat message between a fan and an account."""

    id: int
    account_id: str
    fan_id: int
    from_fan: bool
    text: str
    at: datetime
    visible_at: datetime
    price: int = 0
    tip: int = 0
    opened: bool = False
    send_id: str | None = None


@dataclass(slots=True)
class Chargeback:
    """A payment taken back."""

    id: int
    account_id: str
    transaction_id: str
    at: datetime


@dataclass(slots=True)
class UserList:
    """A creator's list of users."""

    id: int
    account_id: str
    name: str
    members: list[int] = field(default_factory=list)
