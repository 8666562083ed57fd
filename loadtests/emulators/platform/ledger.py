"""What the client did: every call, the credits it cost, and the contract violations (upstream spec 6.4)."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

MAX_CALLS = 200_000


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One API call. `at` is virtual ISO time, `ms` real milliseconds, `route` the path template."""

    at: str
    method: str
    path: str
    query: str
    route: str
    account_id: str | None
    status: int
    credits: int
    ms: float


@dataclass(frozen=True, slots=True)
class Violation:
    """One breach of the vendor's contract by the client."""

    kind: str
    path: str
    detail: str
    at: str


class Ledger:
    """Call log, credit account and violations of one run. Only the last 200,000 calls are kept."""

    def __init__(self, credits: int) -> None:
        self.calls: deque[CallRecord] = deque(maxlen=MAX_CALLS)
        self.violations: list[Violation] = []
        self.balance = credits
        self.used = 0
        self.webhook_events = 0
        self._by_route: dict[str, list[int]] = {}

    def charge(self, amount: int) -> None:
        """Take `amount` credits off the balance."""
        self.used += amount
        self.balance -= amount

    def count_webhook_event(self) -> None:
        """One credit per hundred webhook events (upstream spec 1.1)."""
        self.webhook_events += 1
        if self.webhook_events % 100 == 0:
            self.charge(1)

    def record(self, call: CallRecord) -> None:
        """Keep a finished call."""
        self.calls.append(call)
        totals = self._by_route.setdefault(f"{call.method} {call.route}", [0, 0])
        totals[0] += 1
        totals[1] += call.credits

    def violate(self, kind: str, path: str, detail: str, at: str) -> None:
        """Keep a violation."""
        self.violations.append(Violation(kind, path, detail, at))

    def by_route(self) -> dict[str, dict[str, int]]:
        """Calls and credits by route."""
        return {route: {"calls": calls, "credits": spent} for route, (calls, spent) in self._by_route.items()}

    def log(self) -> list[dict[str, Any]]:
        """The calls, oldest first, as JSON objects."""
        return [asdict(call) for call in self.calls]
