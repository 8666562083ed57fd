"""A fan's transactions: what is known of each, which paid for a subscription, and the conversions they are (spec 5, 11)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tracker.attribution.facts import (
    SUBSCRIPTION_TYPES,
    TEN_MINUTES,
    Click,
    Conversion,
    FanEvent,
    Subscription,
    TransactionSeen,
)

# A transaction moves only forward through these; which observation came first does not matter.
STATUS_RANK = {"loading": 0, "done": 1, "pending_return": 2, "undo": 3}
COUNTED = frozenset({"loading", "done"})


@dataclass(frozen=True, slots=True)
class Transaction:
    """All observations of one transaction together. `gross_cents` is what was paid, whatever became of it."""

    transaction_id: str
    at: int
    type: str
    status: str
    statuses: tuple[str, ...]
    gross_cents: int
    net_cents: int
    description: str
    event_keys: tuple[str, ...]

    @property
    def counts(self) -> bool:
        """Whether its amount is in the reports."""
        return self.status in COUNTED


@dataclass(frozen=True, slots=True)
class Money:
    """A fan's transactions in time order, and the first purchase among them."""

    rows: tuple[Transaction, ...]
    first_purchase: Transaction | None

    def subscription_payments(self, subscriptions: Sequence[Subscription]) -> dict[int, Transaction]:
        """Per start of a subscription: the `new_subscription` within ten minutes of it (spec 11, "Amounts"); each used once."""
        payments: dict[int, Transaction] = {}
        free = [row for row in self.rows if row.type == "new_subscription"]
        for subscription in subscriptions:
            near = [row for row in free if abs(row.at - subscription.at) <= TEN_MINUTES]
            if near:
                found = min(near, key=lambda row: (abs(row.at - subscription.at), row.transaction_id))
                payments[subscription.start] = found
                free.remove(found)
        return payments

    def conversions(self, transaction: Transaction, click: Click) -> Iterable[Conversion]:
        """What one credited transaction tells: itself, once it counted, and each change of its status."""
        facts = {
            "gross_cents": transaction.gross_cents,
            "net_cents": transaction.net_cents,
            "transaction_id": transaction.transaction_id,
            "transaction_type": transaction.type,
            "transaction_description": transaction.description,
        }
        if COUNTED.intersection(transaction.statuses):
            yield Conversion(
                "new_transaction",
                transaction.transaction_id,
                transaction.at,
                click,
                transaction.event_keys,
                transaction_status=transaction.status,
                purchase=self._purchase(transaction),
                **facts,  # type: ignore[arg-type]
            )
        for status in transaction.statuses:
            changed = status not in COUNTED or (status == "done" and "loading" in transaction.statuses)
            if changed:
                yield Conversion(
                    "transaction_status",
                    f"{transaction.transaction_id}:{status}",
                    transaction.at,
                    click,
                    transaction.event_keys,
                    transaction_status=status,
                    **facts,  # type: ignore[arg-type]
                )

    def _purchase(self, transaction: Transaction) -> str | None:
        if self.first_purchase is None:
            return None
        if transaction.transaction_id == self.first_purchase.transaction_id:
            return "first"
        mine, first = (transaction.at, transaction.transaction_id), self.first_purchase
        return "repeat" if mine > (first.at, first.transaction_id) else None


def transactions(events: Iterable[FanEvent]) -> Money:
    """Merge the observations of each transaction."""
    seen: dict[str, list[TransactionSeen]] = defaultdict(list)
    for event in events:
        if isinstance(event, TransactionSeen):
            seen[event.transaction_id].append(event)
    rows = sorted((_merge(same) for same in seen.values()), key=lambda row: (row.at, row.transaction_id))
    purchases = [row for row in rows if row.type not in SUBSCRIPTION_TYPES]
    return Money(tuple(rows), purchases[0] if purchases else None)


def _merge(same: list[TransactionSeen]) -> Transaction:
    ordered = sorted(same, key=lambda event: (STATUS_RANK.get(event.status, 1), event.event_key))
    first = ordered[0]  # what was paid is what the transaction said before anything was taken back
    return Transaction(
        transaction_id=first.transaction_id,
        at=min(event.at for event in same),
        type=first.type,
        status=ordered[-1].status,
        statuses=tuple(dict.fromkeys(event.status for event in ordered)),
        gross_cents=first.gross_cents,
        net_cents=first.net_cents,
        description=first.description,
        event_keys=tuple(sorted(event.event_key for event in same)),
    )
