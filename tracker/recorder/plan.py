"""What a batch of log entries changes, given what the tables already hold of it. Pure.

What is stored depends on the set of entries seen, never on their order or on how often they are seen. One visit can be in
the log twice: its claim timed out at the edge and landed all the same, and the visit came again from the spill. Then
  * it is counted once; a visit that either entry calls a duplicate is a visit of that click, not a click of its own;
  * link, lease and visitor are those of the spilled entry: that is what the visitor was really given.
Two taps spilled by two edges can each land after the other's replay, and each is then called a duplicate of the other: the
one whose entry comes last stays a click, for a visit must have one (which of the two is all that depends on the order).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from tracker.clicklog import KIND_BOT, KIND_DUPLICATE, KIND_PREFETCH
from tracker.recorder.entry import Entry

HOUR_MS = 3_600_000
WAKE_MARGIN_MS = (
    120_000  # a platform time is floored to the minute, so it can lie before the click that led to it (spec 4)
)


class KnownClick(NamedTuple):
    """A stored click. Times are Unix ms."""

    account_id: str
    smart_link_id: str
    clicked_ms: int
    last_visit_ms: int
    gross_clicks: int
    visitor: str
    visitor_by: str
    inventory_link_id: int | None
    lease: str
    spilled: bool
    is_bot: bool


class KnownVisit(NamedTuple):
    """A stored later visit."""

    click_id: str
    inventory_link_id: int | None


class Known(NamedTuple):
    """What the tables hold: clicks and visits by their ids, and (count, latest ms) of visits stored ahead of their click."""

    clicks: dict[str, KnownClick]
    visits: dict[str, KnownVisit]
    early: dict[str, tuple[int, int]]


class NewClick(NamedTuple):
    """A click to store."""

    entry: Entry
    spilled: bool
    gross_clicks: int
    last_visit_ms: int


class NewVisit(NamedTuple):
    """A later visit to store."""

    entry: Entry
    click_id: str
    inventory_link_id: int | None


@dataclass(slots=True)
class Hour:
    """What to add to one row of `click_hours`."""

    clicks: int = 0
    gross_clicks: int = 0
    bots: int = 0
    prefetches: int = 0


@dataclass(slots=True)
class Writes:
    """Everything one batch changes."""

    clicks: list[NewClick] = field(default_factory=list)
    visits: list[NewVisit] = field(default_factory=list)
    prefetches: dict[str, Entry] = field(default_factory=dict)
    visited: dict[str, tuple[int, int]] = field(default_factory=dict)  # stored click -> visits to add, latest ms
    regiven: list[Entry] = field(default_factory=list)  # stored clicks whose visitor really got what this entry says
    relinked: dict[str, int | None] = field(default_factory=dict)  # stored visit -> the link really given
    demoted: dict[str, str] = field(default_factory=dict)  # stored click that was a visit -> the click it belongs to
    owners: dict[str, str] = field(default_factory=dict)  # visits and demoted clicks of this batch -> click they named
    hours: dict[tuple[str, int], Hour] = field(default_factory=dict)  # (smart link, Unix hour)
    woken_visitors: set[tuple[str, str]] = field(default_factory=set)  # (account, visitor) back by cookie
    woken_links: dict[int, int] = field(default_factory=dict)  # inventory link -> since Unix ms
    woken_clicks: set[str] = field(default_factory=set)

    def hour(self, smart_link_id: str, at_ms: int) -> Hour:
        """The counters of the hour `at_ms` lies in."""
        key = (smart_link_id, at_ms // HOUR_MS)
        found = self.hours.get(key)
        if found is None:
            found = self.hours[key] = Hour()
        return found


def decide(entries: Iterable[Entry], known: Known) -> Writes:
    """The writes of a batch. `known` must cover every visit id and click id in it."""
    writes = Writes()
    landed: dict[str, Entry] = {}
    spilled: dict[str, Entry] = {}
    for entry in entries:
        if entry.kind == KIND_PREFETCH:
            writes.prefetches.setdefault(entry.visit_id, entry)
        elif entry.spilled:
            spilled.setdefault(entry.visit_id, entry)
        else:
            landed.setdefault(entry.visit_id, entry)
    clicks: list[Entry] = []
    for visit_id, entry in landed.items():
        _settle(entry, spilled.get(visit_id), known, writes, clicks)
    for visit_id, entry in spilled.items():
        if visit_id not in landed:
            _settle(entry, entry, known, writes, clicks)
    _gather(clicks, spilled, known, writes)
    return writes


def _settle(entry: Entry, spill: Entry | None, known: Known, writes: Writes, clicks: list[Entry]) -> None:
    """Decide one visit: new, already stored, or stored as something it turns out not to be."""
    visit_id = entry.visit_id
    given = spill or entry
    duplicate = entry if entry.kind == KIND_DUPLICATE else spill if spill and spill.kind == KIND_DUPLICATE else None
    if duplicate is not None and _owner(duplicate.click_id, writes.owners, known) == visit_id:
        duplicate = None
    stored_visit = known.visits.get(visit_id)
    stored_click = known.clicks.get(visit_id)
    if stored_visit is not None:
        if spill is not None and spill.inventory_link_id != stored_visit.inventory_link_id:
            writes.relinked[visit_id] = spill.inventory_link_id
        _wake(given, writes, stored_visit.inventory_link_id)
    elif stored_click is not None:
        if duplicate is not None and not stored_click.is_bot:
            _demote(duplicate, spill, stored_click, writes)
        elif spill is not None and not stored_click.spilled:
            writes.regiven.append(spill)
        _wake(given, writes, stored_click.inventory_link_id)
    elif duplicate is not None:
        writes.visits.append(NewVisit(duplicate, duplicate.click_id, given.inventory_link_id))
        writes.owners[visit_id] = duplicate.click_id
        writes.hour(entry.visit.smart_link_id, entry.at_ms).gross_clicks += 1
        _wake(given, writes)
    else:
        clicks.append(given)
        hour = writes.hour(given.visit.smart_link_id, given.at_ms)
        if given.kind == KIND_BOT:
            hour.bots += 1
        else:
            hour.clicks += 1
            hour.gross_clicks += 1
        _wake(given, writes)
    if spill is not None:
        writes.woken_clicks.update((visit_id, spill.click_id if duplicate is None else duplicate.click_id))


def _demote(duplicate: Entry, spill: Entry | None, stored: KnownClick, writes: Writes) -> None:
    # Counted as a click and a gross click; it stays a gross click. Visits that followed it now follow the real click.
    link = spill.inventory_link_id if spill else stored.inventory_link_id
    if spill is None and not stored.spilled:
        link = duplicate.inventory_link_id
    writes.visits.append(NewVisit(duplicate, duplicate.click_id, link))
    writes.demoted[duplicate.visit_id] = writes.owners[duplicate.visit_id] = duplicate.click_id
    writes.hour(stored.smart_link_id, stored.clicked_ms).clicks -= 1
    if stored.gross_clicks > 1:
        _visited(writes, duplicate.click_id, stored.gross_clicks - 1, stored.last_visit_ms)
    writes.woken_clicks.update((duplicate.visit_id, duplicate.click_id))


def _gather(clicks: list[Entry], spilled: dict[str, Entry], known: Known, writes: Writes) -> None:
    """Give every visit its click, and every click its visits."""
    owners = writes.owners
    for at, visit in enumerate(writes.visits):
        click_id = _owner(visit.click_id, owners, known)
        if click_id != visit.click_id:
            writes.visits[at] = visit._replace(click_id=click_id)
        _visited(writes, click_id, 1, visit.entry.at_ms)
    for visit_id, click_id in writes.demoted.items():
        writes.demoted[visit_id] = _owner(click_id, owners, known)
    for click_id in [c for c in writes.visited if c in owners or c in known.visits]:
        _visited(writes, _owner(click_id, owners, known), *writes.visited.pop(click_id))
    for entry in clicks:
        click_id = entry.visit_id
        gross, last = 1, entry.at_ms
        for found in (writes.visited.pop(click_id, None), known.early.get(click_id)):
            if found is not None:
                gross, last = gross + found[0], max(last, found[1])
        writes.clicks.append(NewClick(entry, click_id in spilled, gross, last))


def _owner(click_id: str, owners: dict[str, str], known: Known) -> str:
    """The click itself, where a log entry names a visit as the click (its own claim came later than it was used)."""
    seen = {click_id}
    while True:
        stored = known.visits.get(click_id)
        following = owners.get(click_id) or (stored.click_id if stored else None)
        if following is None or following in seen:
            return click_id
        seen.add(following)
        click_id = following


def _visited(writes: Writes, click_id: str, count: int, last_ms: int) -> None:
    before = writes.visited.get(click_id, (0, 0))
    writes.visited[click_id] = (before[0] + count, max(before[1], last_ms))


def _wake(given: Entry, writes: Writes, stored_link: int | None = None) -> None:
    """Fans this visit may concern: of the visitor who is back, of the link given, of the link thought given.

    New or not: after a crash between commit and wake it is the re-read that wakes.
    """
    if given.kind == KIND_BOT:
        return
    if given.visitor_by == "cookie":
        writes.woken_visitors.add((given.visit.account_id, given.visitor))
    since = given.at_ms - WAKE_MARGIN_MS
    for link in (given.inventory_link_id, stored_link):
        if link is not None:
            writes.woken_links[link] = min(since, writes.woken_links.get(link, since))
