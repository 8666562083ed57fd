"""The things of the platform's world (upstream spec 6.1). Money is integer cents, times are virtual UTC."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

LinkKind = Literal["tracking", "trial"]
SessionState = Literal["active", "expired", "reauthenticating", "failed"]


@dataclass(slots=True)
class Account:
    """A connected creator. `subscribe_price` 0 = a free page."""

    id: str
    onlyfans_id: int
    username: str
    name: str
    subscribe_price: int
    created_at: datetime
    session_state: SessionState = "active"
    session_epoch: int = 0
    session_started_at: datetime | None = None
    session_completed_at: datetime | None = None
    last_campaign_code: int = 0
    notes: dict[int, str] = field(default_factory=dict)
    custom_names: dict[int, str] = field(default_factory=dict)


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


@dataclass(slots=True)
class Fan:
    """A platform user, the same person on every account."""

    id: int
    username: str
    name: str
    pays_vat: bool = False


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
