"""Payments: transactions, the notifications that repeat them, and chargebacks."""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Any

from . import payloads
from .clock import iso
from .records import Account, Chargeback, Fan, Link, Transaction

if TYPE_CHECKING:
    from .world import World

DESCRIPTIONS = {
    "new_subscription": "Subscription from",
    "recurring_subscription": "Recurring subscription from",
    "tip": "Tip from",
    "message": "Payment for message from",
    "post": "Payment for post from",
    "stream": "Payment for stream from",
    "other": "Payment from",
}


class Money:
    """Every transaction by id, account and fan."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._by_id: dict[str, Transaction] = {}
        self._of_account: dict[str, list[Transaction]] = defaultdict(list)
        self._of_fan: dict[tuple[str, int], list[Transaction]] = defaultdict(list)
        self._chargebacks: dict[str, list[Chargeback]] = defaultdict(list)

    def charge(
        self, account: Account, fan: Fan, type: str, amount: int, at: datetime, tips_source: str | None = None
    ) -> Transaction:
        """A payment of `amount` gross cents and its `transactions.new`."""
        world = self._world
        number = world.sequence("transaction")
        settings = world.settings
        name = payloads.escaped(fan.name)
        transaction = Transaction(
            id=_new_id(world, account, number),
            account_id=account.id,
            fan_id=fan.id,
            type=type,
            amount=amount,
            vat=amount * 13 // 100 if fan.pays_vat else 0,
            at=at,
            visible_at=world.later(at, settings.transaction_delay, "transaction-visible", number),
            done_at=at + timedelta(seconds=settings.settle_after),
            description=f'{DESCRIPTIONS[type]} <a href="https://onlyfans.com/{fan.username}">{name}</a>',
            tips_source=tips_source,
        )
        self._by_id[transaction.id] = transaction
        insort(self._of_account[account.id], transaction, key=_place)
        self._of_fan[(account.id, fan.id)].append(transaction)
        payload = payloads.transaction(transaction, fan, payloads.fan_data(world, account, fan), world.clock.now())
        if world.chance(settings.transaction_fan_missing_rate, "transaction-fan", number):
            del payload["fan"]
        world.send("transactions.new", account.id, payload, at, subject=transaction)
        return transaction

    def tip(
        self, account: Account, fan: Fan, amount: int, at: datetime | None = None, source: str = "profile"
    ) -> Transaction:
        """A tip: `tips.received`, `transactions.new`, and a message when it was left in chat."""
        at = at or self._world.clock.now()
        transaction = self.charge(account, fan, "tip", amount, at, tips_source=source)
        number = str(115_270_000_000 + 11 * self._world.sequence("notification"))
        data = payloads.fan_data(self._world, account, fan)
        payload = payloads.tip(number, account, fan, transaction, data)
        self._world.send("tips.received", account.id, payload, at, subject=transaction)
        if source == "chat":
            self._world.fans.message(account, fan, f"I sent you a ${amount / 100:.2f} tip ♥", at, tip=amount)
        return transaction

    def unlock(self, account: Account, fan: Fan, amount: int, at: datetime | None = None) -> Transaction:
        """A paid message is bought: `messages.ppv.unlocked` and `transactions.new`."""
        world = self._world
        at = at or world.clock.now()
        transaction = self.charge(account, fan, "message", amount, at)
        sequence = world.sequence("notification")
        payload = payloads.unlocked(
            str(115_200_000_000 + 31 * sequence),
            account,
            fan,
            amount,
            at,
            message_id=9_410_988_000_000 + sequence,
            data=payloads.fan_data(world, account, fan),
        )
        if world.chance(world.settings.ppv_user_missing_rate, "ppv-user", sequence):
            del payload["user"]
        world.send("messages.ppv.unlocked", account.id, payload, at, subject=transaction)
        return transaction

    def charge_back(
        self, transaction: Transaction, at: datetime | None = None, pending_seconds: float = 0.0
    ) -> Chargeback:
        """Take a payment back: `pending_return` from `at`, `undo` after `pending_seconds`. No webhook tells."""
        at = at or self._world.clock.now()
        transaction.returned_at = at
        transaction.undone_at = at + timedelta(seconds=pending_seconds)
        chargeback = Chargeback(
            id=990_000 + self._world.sequence("chargeback"),
            account_id=transaction.account_id,
            transaction_id=transaction.id,
            at=at,
        )
        self._chargebacks[transaction.account_id].append(chargeback)
        return chargeback

    def get(self, transaction_id: str) -> Transaction | None:
        """The transaction, or None."""
        return self._by_id.get(transaction_id)

    def visible(self, account_id: str) -> Iterator[Transaction]:
        """The feed as seen now, newest first, ids breaking ties within a second."""
        now = self._world.clock.now()
        return (t for t in reversed(self._of_account[account_id]) if t.visible_at <= now)

    def page(
        self,
        account_id: str,
        limit: int,
        *,
        since: datetime,
        marker: int = 0,
        types: Sequence[str] = (),
        tips_source: str | None = None,
    ) -> tuple[list[Transaction], bool]:
        """OnlyFans' own paging of the feed, newest first: (rows, more). `marker` is the Unix second of the last row
        and says nothing about rows of that same second: with the setting `marker_inclusive` off they are skipped,
        with it on they come again."""
        newest = marker if self._world.settings.marker_inclusive else marker - 1
        oldest = since.replace(microsecond=0)
        matching = (
            t
            for t in takewhile(lambda t: t.at >= oldest, self.visible(account_id))
            if (not types or t.type in types)
            and (not tips_source or t.tips_source == tips_source)
            and (not marker or int(t.at.timestamp()) <= newest)
        )
        found = list(islice(matching, limit + 1))
        return found[:limit], len(found) > limit

    def chargebacks(self, account_id: str) -> list[Chargeback]:
        """Chargebacks that happened by now, newest first."""
        now = self._world.clock.now()
        return sorted((c for c in self._chargebacks[account_id] if c.at <= now), key=lambda c: c.at, reverse=True)

    def of_fan(self, account_id: str, fan_id: int) -> list[Transaction]:
        """A fan's payments to one account, in order."""
        return self._of_fan[(account_id, fan_id)]

    def spending(self, account_id: str, fan_id: int, now: datetime) -> dict[str, int]:
        """Cents a fan spent that still stand, under the vendor's keys (`total`, `messages`, ...)."""
        totals = {"total": 0, "messages": 0, "subscribes": 0, "posts": 0, "tips": 0, "streams": 0}
        keys = {"message": "messages", "post": "posts", "tip": "tips", "stream": "streams"}
        for transaction in self._of_fan[(account_id, fan_id)]:
            if transaction.at > now or transaction.status(now) == "undo":
                continue
            totals["total"] += transaction.amount
            if transaction.type != "other":
                totals[keys.get(transaction.type, "subscribes")] += transaction.amount
        return totals

    def of_link(self, link: Link) -> list[tuple[int, list[Transaction]]]:
        """Fans that came through a link with what they paid that is visible now."""
        now = self._world.clock.now()
        seen = dict.fromkeys(s.fan_id for s in self._world.fans.of_link(link) if s.listed_at <= now)
        return [
            (fan_id, [t for t in self._of_fan[(link.account_id, fan_id)] if t.visible_at <= now]) for fan_id in seen
        ]

    def payers(self) -> set[tuple[str, int]]:
        """Every (account, fan) that ever paid."""
        return set(self._of_fan)

    def truth(self, account_id: str, fan_id: int) -> list[dict[str, Any]]:
        """A fan's payments with their status now; amounts in USD."""
        now = self._world.clock.now()
        return [
            {
                "id": t.id,
                "type": t.type,
                "amount": t.amount / 100,
                "net": t.net / 100,
                "status": t.status(now),
                "at": iso(t.at),
            }
            for t in self._of_fan[(account_id, fan_id)]
        ]


def _new_id(world: World, account: Account, number: int) -> str:
    if account.platform == "fansly":
        return str(880_000_000_000_000_000 + 104_729_017 * number)
    return f"{world.rng('transaction', number).getrandbits(128):032x}"


def _place(transaction: Transaction) -> tuple[datetime, str]:
    return transaction.at.replace(microsecond=0), transaction.id
