"""A fan's transactions: what is known of each, which paid for a subscription, and the conversions they are (spec 5, 11)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

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
    """All observations of one transaction together. `gross_cents` is what was paid, whatever became of it.

    `statuses` holds what was seen of it in the order of its life, one observation per status.
    """

    transaction_id: str
    at: int
    type: str
    status: str
    statuses: dict[str, TransactionSeen]
    gross_cents: int
    net_cents: int
    description: str
    event_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Money:
    """A fan's transactions in time order, and the first purchase among them."""

    rows: tuple[Transaction, ...]
    first_purchase: Transaction | None

    def subscription_payments(self, subscriptions: Sequence[Subscription]) -> dict[int, Transaction]:
        """Per start of a subscription: the `new_subscription` within ten minutes of it (spec 11, "Amounts").

        Each pays for one subscription; where several would do, the closest pair belongs together.
        """
        pairs = sorted(
            (
                (abs(row.at - subscription.at), subscription.start, row.at, row.transaction_id, row)
                for subscription in subscriptions
                for row in self.rows
                if row.type == "new_subscription" and abs(row.at - subscription.at) <= TEN_MINUTES
            ),
            key=lambda pair: pair[:4],
        )
        payments: dict[int, Transaction] = {}
        used: set[str] = set()
        for _, start, _, transaction_id, row in pairs:
            if start not in payments and transaction_id not in used:
                payments[start] = row
                used.add(transaction_id)
        return payments

    def conversions(self, transaction: Transaction, click: Click) -> Iterable[Conversion]:
        """What one credited transaction tells: itself, if it ever counted, and each change of its status."""
        told = Conversion(
            "new_transaction",
            transaction.transaction_id,
            transaction.at,
            click,
            transaction.event_keys,
            transaction.gross_cents,
            transaction.net_cents,
            transaction_id=transaction.transaction_id,
            transaction_type=transaction.type,
            transaction_status=transaction.status,
            transaction_description=transaction.description,
        )
        if COUNTED.intersection(transaction.statuses):
            yield replace(told, purchase=self._purchase(transaction))
        for status, seen in transaction.statuses.items():
            if status in COUNTED and not (status == "done" and "loading" in transaction.statuses):
                continue  # how it began, not a change
            yield replace(
                told,
                type="transaction_status",
                identity=f"{transaction.transaction_id}:{status}",
                transaction_status=status,
                gross_cents=seen.gross_cents,  # a chargeback row takes back its own amount (spec 11)
                net_cents=seen.net_cents,
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
    # What was paid is what the last row said that took nothing back.
    paid = next((event for event in reversed(ordered) if event.status in COUNTED), ordered[0])
    clear = (event.type for event in ordered if event.type != "other")  # some feeds leave the type open
    return Transaction(
        transaction_id=paid.transaction_id,
        at=min(event.at for event in same),
        type=next(clear, "other"),
        status=ordered[-1].status,
        statuses={event.status: event for event in ordered},
        gross_cents=paid.gross_cents,
        net_cents=paid.net_cents,
        description=next((event.description for event in ordered if event.description), ""),
        event_keys=tuple(sorted(event.event_key for event in same)),
    )
