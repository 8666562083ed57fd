"""The ground truth of a locust run, and whether the product's own counters say the same."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Counters that must be exact per smart link, by their name in the API.
PER_LINK = {
    "clicks": "clicks_count",
    "visits": "gross_clicks_count",
    "bots": "bots_count",
    "prefetches": "prefetches",
}


@dataclass
class Truth:
    """What was really done, by smart link, and the fans and money that came of it."""

    links: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    unsure: int = 0  # requests without an answer: they may or may not have counted
    wrong: list[str] = field(default_factory=list)  # answers that should not have been
    fans: set[str] = field(default_factory=set)

    def clicked(self, smart_link_id: str, again: bool) -> None:
        """A redirect was answered: a click, or a later visit of it."""
        self.links[smart_link_id]["visits"] += 1
        if not again:
            self.links[smart_link_id]["clicks"] += 1

    def counted(self, smart_link_id: str, what: str) -> None:
        """A bot or a prefetch was answered."""
        self.links[smart_link_id][what] += 1


@dataclass(frozen=True)
class Book:
    """One figure: what must be, what the product says."""

    name: str
    expected: float
    found: float

    @property
    def balances(self) -> bool:
        """Equal, to the cent."""
        return abs(self.expected - self.found) < 0.005


def balance(
    truth: Truth,
    before: Mapping[str, Mapping[str, Any]],
    after: Mapping[str, Mapping[str, Any]],
    revenue: float,
) -> list[Book]:
    """Every book. `before`, `after`: the API's smart links by id; `revenue`: dollars that the run's fans paid.

    Fans and money are compared over all links together: when more clicks hold links than a pool has, a fan may be
    credited to another ad's click of the same link (docs/decisions/0005), but is never lost or counted twice.
    """
    books = [
        Book("answers as they should be", 0, len(truth.wrong)),
        Book("requests without an answer", 0, truth.unsure),
    ]
    for smart_link_id in sorted(after):
        for name, field_name in PER_LINK.items():
            found = after[smart_link_id][field_name] - before.get(smart_link_id, {}).get(field_name, 0)
            books.append(Book(f"{name} of {smart_link_id}", truth.links[smart_link_id][name], found))
    for name, field_name, expected in (
        ("subscribers", "subscribers_count", float(len(truth.fans))),
        ("revenue", "revenue", revenue),
    ):
        # Money comes as text, so that no cent is lost on the way.
        found = sum(float(row[field_name]) for row in after.values())
        found -= sum(float(row[field_name]) for row in before.values())
        books.append(Book(name, expected, round(found, 2)))
    return books
