"""What a storm is shaped like, what its passes come to, and how that is told."""

from __future__ import annotations

import msgspec


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """One storm. `seconds`: of feeding; `every`: between kills; `drain`: seconds after the feed until all must be settled.

    `flaky` destinations fail FAIL_RATE of their requests; `hanging` ones never answer; the rest are healthy.
    `give_up`: seconds of nothing but failures that disable a destination. `well`: nobody is sick, for comparison.
    """

    conversions: int = 20000
    destinations: int = 20
    flaky: int = 6
    hanging: int = 1
    seconds: float = 40.0
    every: float = 5.0
    drain: float = 60.0
    timeout: float = 1.0
    give_up: float = 15.0
    well: bool = False

    def healthy(self) -> list[str]:
        """Names of the destinations that are never sick."""
        return [f"d{number:02}" for number in range(self.flaky + self.hanging, self.destinations)]


class Books(msgspec.Struct, kw_only=True):
    """What one pass came to. Times are seconds; `repeats` are receipts beyond the first of an event id.

    `running_p99`: of the conversions that waited for no restart; how long a restart takes says nothing of sick receivers.
    `unexplained`: repeats of what was not in flight at a kill in between. `phantom`: called delivered, never received.
    `silent`: dead without words or attempts. `wrongly_dead`: dead, received, and not in flight at a kill.
    """

    conversions: int
    delivered: int
    dead: int
    waiting: int
    kills: int
    in_flight_at_kills: int
    attempts: int
    repeats: int
    unexplained: int
    phantom: int
    silent: int
    wrongly_dead: int
    strangers: int
    healthy_p50: float
    healthy_p99: float
    running_p99: float
    seconds: float
    disabled: dict[str, str]

    @property
    def balanced(self) -> bool:
        """Everything is accounted for."""
        wrong = (
            self.waiting + self.unexplained + self.phantom + self.silent + self.wrongly_dead + self.strangers
            + abs(self.conversions - self.delivered - self.dead)
        )  # fmt: skip
        return wrong == 0


class Report(msgspec.Struct, kw_only=True):
    """Both passes, and what is wrong, in words (empty: nothing)."""

    calm: Books
    storm: Books
    p99_ratio: float
    wrong: list[str]


def text(report: Report) -> str:
    """The report for a person."""
    lines = []
    for title, books in (("All destinations well", report.calm), ("With sick destinations", report.storm)):
        lines += [
            f"{title} ({books.seconds:.0f} s, {books.kills} kills, {books.attempts} attempts)",
            f"  {books.conversions} conversions = {books.delivered} delivered + {books.dead} dead + {books.waiting} waiting",
            f"  received again: {books.repeats}, of {books.in_flight_at_kills} in flight at kills; without that excuse: {books.unexplained}",
            f"  called delivered but never received: {books.phantom}; dead without a word: {books.silent};"
            f" dead though received: {books.wrongly_dead}",
            f"  healthy destinations, written to received: p50 {books.healthy_p50 * 1000:.0f} ms, p99 {books.healthy_p99 * 1000:.0f} ms"
            f" (while a dispatcher runs: {books.running_p99 * 1000:.0f} ms)",
            *(f"  {name} is off: {reason}" for name, reason in books.disabled.items()),
        ]
    lines.append(f"p99 while a dispatcher runs, with sick destinations / without: {report.p99_ratio:.2f}")
    lines += [f"WRONG: {words}" for words in report.wrong] or ["The books balance."]
    return "\n".join(lines)
