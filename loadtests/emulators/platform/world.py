"""The world: all records, their indexes, and everything that acts on them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from . import payloads
from .clock import Clock
from .fans import Fans
from .faults import Faults
from .ledger import Ledger
from .links import Links
from .money import Money
from .records import VENDORS, Account, Fan, Message, Network, Subscription, Transaction, UserList
from .scheduler import Scheduler
from .sessions import Sessions
from .settings import Settings, Span

Subject = Account | Subscription | Transaction | Message


class NotFound(LookupError):
    """An id the world does not know; the text says which."""


@dataclass(frozen=True, slots=True)
class Notification:
    """Something the vendor tells webhooks about. `at` = when it happened, `ephemeral` = no idempotency key,
    `forced` = sent to every endpoint, subscribed or not. `payload` is OnlyFansAPI's; other vendors make their own
    of the `subject`."""

    event: str
    account_id: str
    payload: dict[str, Any]
    at: datetime
    ephemeral: bool = False
    forced: bool = False
    subject: Subject | None = None


class World:
    """Ground truth of one run. Everything random is drawn from the seed and a name, never from call order
    across unrelated things, so concurrent clients still meet the same delays and faults."""

    def __init__(self, settings: Settings, seed: int = 1, clock: Clock | None = None) -> None:
        self.settings = settings
        self.seed = seed
        self.epoch = 0
        self.clock = clock or Clock()
        self.scheduler = Scheduler(self.clock)
        self.listeners: list[Callable[[Notification], None]] = []
        self.faults = Faults()
        self._clear()

    def _clear(self) -> None:
        self.faults.clear()
        self.ledger = Ledger(self.settings.credits)
        self.accounts: dict[str, Account] = {}
        self.people: dict[int, Fan] = {}
        self.lists: dict[int, UserList] = {}
        self.sent_messages: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}
        self.attempts: dict[str, str] = {}
        self._sequences: dict[str, int] = defaultdict(int)
        self.links = Links(self)
        self.money = Money(self)
        self.fans = Fans(self)
        self.sessions = Sessions(self)

    def reset(self, seed: int | None = None) -> None:
        """Forget everything but the settings, the clock and the listener. The next epoch begins: webhook
        keys never repeat those of an earlier one, although ids in the world do."""
        if seed is not None:
            self.seed = seed
        self.epoch += 1
        self.scheduler.clear()
        self._clear()

    def send(
        self,
        event: str,
        account_id: str,
        payload: dict[str, Any],
        at: datetime,
        *,
        forced: bool = False,
        subject: Subject | None = None,
    ) -> None:
        """Hand a notification to whoever delivers webhooks."""
        notification = Notification(event, account_id, payload, at, event.startswith("users."), forced, subject)
        for listener in self.listeners:
            listener(notification)

    def sequence(self, name: str) -> int:
        """The next number, from 1, of a named sequence."""
        self._sequences[name] += 1
        return self._sequences[name]

    def rng(self, *key: object) -> random.Random:
        """A random stream of its own for `key`."""
        return random.Random(f"{self.seed}:{':'.join(map(str, key))}")

    def chance(self, rate: float, *key: object) -> bool:
        """True on a `rate` share of keys."""
        return rate > 0 and self.rng(*key).random() < rate

    def draw(self, span: Span, *key: object) -> float:
        """Seconds within `span`, the same for the same key."""
        low, high = span
        return low if high <= low else self.rng(*key).uniform(low, high)

    def later(self, since: datetime, span: Span, *key: object) -> datetime:
        """`since`, or now if that is later, plus a drawn delay."""
        return max(since, self.clock.now()) + timedelta(seconds=self.draw(span, *key))

    def add_account(
        self,
        username: str,
        name: str | None = None,
        *,
        id: str | None = None,
        subscribe_price: int = 999,
        onlyfans_id: int | None = None,
        platform: Network = "onlyfans",
        vendors: Sequence[str] = VENDORS,
    ) -> Account:
        """Connect a creator to `vendors`. `subscribe_price` in cents, 0 = a free page. Ids are made up when absent."""
        if unknown := set(vendors) - set(VENDORS):
            raise ValueError(f"unknown vendors {sorted(unknown)}")
        number = self.sequence("account")
        prefix = "fansly_acct_" if platform == "fansly" else "acct_"
        account_id = id or f"{prefix}{self.rng('account', number).getrandbits(96):024x}"
        if not account_id.startswith(prefix):
            raise ValueError(f"the id of a {platform} account begins with {prefix}")
        account = Account(
            id=account_id,
            onlyfans_id=onlyfans_id or 518_000_000 + self.rng("creator", number).randrange(900_000),
            username=username,
            name=name or username.capitalize(),
            subscribe_price=subscribe_price,
            created_at=self.clock.now(),
            platform=platform,
            vendors=("onlyfansapi",) if platform == "fansly" else tuple(vendors),
            onlymonster_id=4_100 + 7 * number,
        )
        self.accounts[account_id] = account
        connected = payloads.session(account) | {"client_reference_id": None}
        self.send("accounts.connected", account.id, connected, self.clock.now(), subject=account)
        return account

    def account(self, account_id: str) -> Account:
        """The account, or NotFound."""
        if account_id not in self.accounts:
            raise NotFound(f"account {account_id}")
        return self.accounts[account_id]

    def connected(self, vendor: str, platform: Network = "onlyfans") -> list[Account]:
        """Accounts a vendor is connected to, oldest first."""
        return [a for a in self.accounts.values() if vendor in a.vendors and a.platform == platform]

    def find(self, reference: object) -> Account:
        """The account by any vendor's id of it. Raises NotFound."""
        text = str(reference)
        if text in self.accounts:
            return self.accounts[text]
        for account in self.accounts.values():
            if text in (account.connection_id, str(account.onlymonster_id), str(account.onlyfans_id)):
                return account
        raise NotFound(f"account {text}")

    def account_named(self, username: str) -> Account | None:
        """The account of a page name, letter case ignored."""
        wanted = username.lower()
        return next((a for a in self.accounts.values() if a.username.lower() == wanted), None)

    def truth(self) -> dict[str, Any]:
        """The whole ground truth, whatever is visible yet: what a test compares the product with."""
        return {
            "now": self.clock.now().isoformat(),
            "accounts": [
                {
                    "id": a.id,
                    "username": a.username,
                    "onlyfans_id": a.onlyfans_id,
                    "platform": a.platform,
                    "vendors": list(a.vendors),
                    "session_state": a.session_state,
                }
                for a in self.accounts.values()
            ],
            "links": self.links.truth(),
            "fans": self.fans.truth(),
        }
