"""What was received, taken, repeated and refused."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from .verdicts import Accepted, Finding, Severity, Verdict


class Received(msgspec.Struct):
    """One request as it came. `at` is virtual epoch seconds; `answered` the mode that answered it."""

    number: int
    platform: str
    pixel: str
    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: str
    at: float
    answered: str


class Event(msgspec.Struct):
    """A unique event as the platform counts it. `event_time` is seconds whatever unit was sent; `at` the virtual time
    of its first arrival; `duplicates` the copies thrown away since; `again` whether the same event was already
    counted before its dedup window ended, that is, counted twice now."""

    platform: str
    pixel: str
    name: str
    event_id: str | None
    event_time: float | None
    at: float
    request: int
    index: int
    test_event_code: str | None
    data: dict[str, Any]
    duplicates: int = 0
    again: bool = False


class Violation(msgspec.Struct, frozen=True):
    """A finding, with the request it belongs to. `severity` is "refused", or "warning" for what the platform lets
    pass but a sender should not do."""

    platform: str
    pixel: str
    request: int
    at: float
    severity: Severity
    rule: str
    text: str
    code: int | str
    subcode: int
    index: int | None
    event_id: str | None


class Books:
    """All of it, in memory; with `count_only` no raw requests and no bodies of events."""

    def __init__(self, *, count_only: bool = False) -> None:
        self.count_only = count_only
        self.requests: list[Received] = []
        self.events: list[Event] = []
        self.validated: list[Event] = []
        self.violations: list[Violation] = []
        self.counts: Counter[str] = Counter()
        self.numbered = 0
        self._seen: dict[tuple[str, ...], Event] = {}

    def number(self) -> int:
        """The number of the next request."""
        self.numbered += 1
        return self.numbered

    def enter(self, platform: str, pixel: str, request: int, at: float, verdict: Verdict, *, taken: bool) -> None:
        """Write down a verdict; its events count only if they were `taken`."""
        for finding in verdict.findings:
            self.blame(platform, pixel, request, at, finding)
        if not taken:
            return
        for accepted in verdict.accepted:
            kept = msgspec.structs.replace(accepted, data={}) if self.count_only else accepted
            self._take(_event(platform, pixel, request, at, verdict, kept), accepted)
        self.validated += [_event(platform, pixel, request, at, verdict, looked) for looked in verdict.validated]

    def blame(self, platform: str, pixel: str, request: int, at: float, finding: Finding) -> None:
        """Write down one finding."""
        severity: Severity = "refused" if finding.refused else "warning"
        self.violations.append(
            Violation(
                platform,
                pixel,
                request,
                at,
                severity,
                finding.rule,
                finding.text,
                finding.code,
                finding.subcode,
                finding.index,
                finding.event_id,
            )
        )
        self.counts[f"{platform}:{severity}"] += 1

    def clear(self) -> None:
        """Forget everything; request numbers go on."""
        for book in (self.requests, self.events, self.validated, self.violations):
            book.clear()
        self.counts.clear()
        self._seen.clear()

    def _take(self, event: Event, accepted: Accepted) -> None:
        for key, seconds in accepted.keys:
            first = self._seen.get((event.platform, event.pixel, *key))
            if first is not None and event.at - first.at <= seconds:
                first.duplicates += 1
                self.counts[f"{event.platform}:duplicates"] += 1
                return
            event.again = event.again or first is not None
        for key, _ in accepted.keys:
            self._seen[event.platform, event.pixel, *key] = event
        self.events.append(event)
        self.counts[f"{event.platform}:unique"] += 1
        if event.again:
            self.counts[f"{event.platform}:again"] += 1


def _event(platform: str, pixel: str, request: int, at: float, verdict: Verdict, accepted: Accepted) -> Event:
    return Event(
        platform,
        pixel,
        accepted.name,
        accepted.event_id,
        accepted.event_time,
        at,
        request,
        accepted.index,
        verdict.test_event_code,
        accepted.data,
    )
