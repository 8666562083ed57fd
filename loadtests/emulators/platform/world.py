"""The world: all records, their indexes, and everything that acts on them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .clock import Clock
from .fans import Fans
from .faults import Faults
from .ledger import Ledger
from .links import Links
from .money import Money
from .records import Account, Fan, UserList
from .scheduler import Scheduler
from .sessions import Sessions
from .settings import Settings, Span


class NotFound(LookupError):
    """An id the world does not know; the text says which."""


@dataclass(frozen=True, slots=True)
class Notification:
    """Something the vendor tells webhooks about. `at` = when it happened, `ephemeral` = no idempotency key,
    `forced` = sent to every endpoint, subscribed or not."""

    event: str
    account_id: str
    payload: dict[str, Any]
    at: datetime
    ephemeral: bool = False
    forced: bool = False


class World:
    """Ground truth of one run. Everything random is drawn from the seed and a name, never from call order
    across unrelated things, so concurrent clients still meet the same delays and faults."""

    def __init__(self, settings: Settings, seed: int = 1, clock: Clock | None = None) -> None:
        self.settings = settings
        self.seed = seed
        self.epoch = 0
        self.clock = clock or Clock()
        self.scheduler = Scheduler(self.clock)
        self.notify: Callable[[Notification], None] = lambda notification: None
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

    def send(self, event: str, account_id: str, payload: dict[str, Any], at: datetime, *, forced: bool = False) -> None:
        """Hand a notification to whoever delivers webhooks."""
        self.notify(Notification(event, account_id, payload, at, event.startswith("users."), forced))

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
    ) -> Account:
        """Connect a creator. `subscribe_price` in cents, 0 = a free page. Ids are made up when absent."""
        number = self.sequence("account")
        account_id = id or f"acct_{self.rng('account', number).getrandbits(96):024x}"
        account = Account(
            id=account_id,
            onlyfans_id=onlyfans_id or 518_000_000 + self.rng("creator", number).randrange(900_000),
            username=username,
            name=name or username.capitalize(),
            subscribe_price=subscribe_price,
            created_at=self.clock.now(),
        )
        self.accounts[account_id] = account
        return account

    def account(self, account_id: str) -> Account:
        """The account, or NotFound."""
        if account_id not in self.accounts:
            raise NotFound(f"account {account_id}")
        return self.accounts[account_id]

    def account_named(self, username: str) -> Account | None:
        """The account of a page name, letter case ignored."""
        wanted = username.lower()
        return next((a for a in self.accounts.values() if a.username.lower() == wanted), None)

    def truth(self) -> dict[str, Any]:
        """The whole ground truth, whatever is visible yet: what a test compares the product with."""
        return {
            "now": self.clock.now().isoformat(),
            "accounts": [
                {"id": a.id, "username": a.username, "onlyfans_id": a.onlyfans_id, "session_state": a.session_state}
                for a in self.accounts.values()
            ],
            "links": self.links.truth(),
            "fans": self.fans.truth(),
        }
