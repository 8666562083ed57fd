"""The decision of what a batch changes, against the slow model, on tables that are plain dictionaries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import permutations, product

import pytest
from hypothesis import given, settings

from tests.unit.recorder.model import Tables, entry, expected, logs, visit_id
from tracker.clicklog import KIND_BOT, KIND_CLICK, KIND_DUPLICATE
from tracker.recorder.entry import Entry
from tracker.recorder.plan import WAKE_MARGIN_MS, Known, KnownClick, KnownVisit, decide


class Store:
    """The tables, in memory, taking `Writes` as the SQL does."""

    def __init__(self) -> None:
        self.clicks: dict[str, KnownClick] = {}
        self.visits: dict[str, KnownVisit] = {}
        self.visited_ms: dict[str, int] = {}
        self.prefetches: set[str] = set()
        self.hours: Counter[tuple[str, int, str]] = Counter()

    def record(self, batch: list[Entry]) -> None:
        early = {}
        for owner in {visit.click_id for visit in self.visits.values()}:
            times = [self.visited_ms[v] for v, visit in self.visits.items() if visit.click_id == owner]
            early[owner] = (len(times), max(times))
        writes = decide(batch, Known(dict(self.clicks), dict(self.visits), early))
        for new in writes.clicks:
            e = new.entry
            assert e.visit_id not in self.clicks
            self.clicks[e.visit_id] = KnownClick(
                e.visit.account_id, e.visit.smart_link_id, e.at_ms, new.last_visit_ms, new.gross_clicks, e.visitor,
                e.visitor_by, e.inventory_link_id, e.lease, new.spilled, e.kind == KIND_BOT,
            )  # fmt: skip
        for later in writes.visits:
            assert later.entry.visit_id not in self.visits
            self.visits[later.entry.visit_id] = KnownVisit(later.click_id, later.inventory_link_id)
            self.visited_ms[later.entry.visit_id] = later.entry.at_ms
        for demoted, click_id in writes.demoted.items():
            del self.clicks[demoted]
            for key, visit in self.visits.items():
                if visit.click_id == demoted:
                    self.visits[key] = visit._replace(click_id=click_id)
        for e in writes.regiven:
            self.clicks[e.visit_id] = self.clicks[e.visit_id]._replace(
                inventory_link_id=e.inventory_link_id, lease=e.lease, visitor=e.visitor, spilled=True
            )
        for key, link in writes.relinked.items():
            self.visits[key] = self.visits[key]._replace(inventory_link_id=link)
        for click_id, (count, last_ms) in writes.visited.items():
            click = self.clicks.get(click_id)
            if click:
                self.clicks[click_id] = click._replace(
                    gross_clicks=click.gross_clicks + count, last_visit_ms=max(last_ms, click.last_visit_ms)
                )
        for key, load in writes.prefetches.items():
            if key not in self.prefetches:
                self.prefetches.add(key)
                writes.hour(load.visit.smart_link_id, load.at_ms).prefetches += 1
        for place, hour in writes.hours.items():
            for name in ("clicks", "gross_clicks", "bots", "prefetches"):
                self.hours[(*place, name)] += getattr(hour, name)

    def tables(self) -> Tables:
        places = {(link, hour) for (link, hour, _), count in self.hours.items() if count}
        return Tables(
            {
                key: (c.gross_clicks, c.last_visit_ms, c.inventory_link_id, c.lease, c.spilled, c.is_bot)
                for key, c in self.clicks.items()
            },
            {key: (v.click_id, v.inventory_link_id) for key, v in self.visits.items()},
            self.prefetches,
            {
                p: (
                    self.hours[(*p, "clicks")],
                    self.hours[(*p, "gross_clicks")],
                    self.hours[(*p, "bots")],
                    self.hours[(*p, "prefetches")],
                )
                for p in places
            },
        )


@settings(max_examples=1500, deadline=None)
@given(logs())
def test_any_order_any_batches_any_repeats_give_the_tables_of_the_model(batches: list[list[Entry]]) -> None:
    store = Store()
    for batch in batches:
        store.record(batch)
    assert store.tables() == expected([e for batch in batches for e in batch])


def test_a_stored_click_that_was_a_visit_takes_its_visits_with_it() -> None:
    store = Store()
    store.record([entry(1, KIND_CLICK, None, 1, spilled=False, at_ms=1000)])
    store.record([entry(2, KIND_CLICK, None, 2, spilled=True, at_ms=2000)])
    store.record([entry(3, KIND_DUPLICATE, 2, 2, spilled=False, at_ms=3000)])
    store.record([entry(2, KIND_DUPLICATE, 1, 1, spilled=False, at_ms=2000)])
    assert list(store.clicks) == [visit_id(1)]
    assert store.clicks[visit_id(1)].gross_clicks == 3
    assert store.clicks[visit_id(1)].last_visit_ms == 3000
    assert store.visits == {visit_id(2): KnownVisit(visit_id(1), 2), visit_id(3): KnownVisit(visit_id(1), 2)}
    store.record([entry(4, KIND_DUPLICATE, 2, 2, spilled=False, at_ms=4000)])
    assert store.clicks[visit_id(1)].gross_clicks == 4


TAPS = (
    entry(1, KIND_CLICK, None, 1, spilled=True, at_ms=1000),
    entry(2, KIND_CLICK, None, 2, spilled=True, at_ms=2000),
    entry(1, KIND_DUPLICATE, 2, 2, spilled=False, at_ms=1000),
    entry(2, KIND_DUPLICATE, 1, 1, spilled=False, at_ms=2000),
)
"""Two taps spilled by two edges, each landed after the other's replay."""


@pytest.mark.parametrize("entries", [TAPS, TAPS[2:]], ids=["spilled too", "landed only"])
def test_two_taps_that_name_each_other_are_a_click_and_its_visit(entries: Sequence[Entry]) -> None:
    for order in permutations(entries):
        for cuts in product((False, True), repeat=len(order) - 1):
            batches, rest = [[order[0]]], order[1:]
            for cut, each in zip(cuts, rest, strict=True):
                if cut:
                    batches.append([each])
                else:
                    batches[-1].append(each)
            store = Store()
            for batch in [*batches, *batches]:  # read again after a crash
                store.record(batch)
            (click_id,) = store.clicks
            ((later, visit),) = store.visits.items()
            assert {click_id, later} == {visit_id(1), visit_id(2)}
            assert visit.click_id == click_id
            assert (store.clicks[click_id].gross_clicks, store.clicks[click_id].last_visit_ms) == (2, 2000)
            assert store.tables().hours == {("LINK0", 0): (1, 2, 0, 0)}


def test_who_is_woken() -> None:
    nothing = Known({}, {}, {})
    batch = [
        entry(1, KIND_CLICK, None, 5, spilled=False, at_ms=500_000),
        entry(2, KIND_CLICK, None, 5, spilled=False, at_ms=400_000),
        entry(3, KIND_BOT, None, 6, spilled=False, at_ms=1_000_000),
        entry(4, KIND_CLICK, None, None, spilled=False, at_ms=1_000_000),
    ]
    writes = decide(batch, nothing)
    assert writes.woken_visitors == {("acct0", "visitor1")}
    assert writes.woken_links == {5: 400_000 - WAKE_MARGIN_MS}
    assert writes.woken_clicks == set()
    spill = entry(1, KIND_CLICK, None, 9, spilled=True, at_ms=500_000)
    stored = KnownClick("acct0", "LINK0", 500_000, 500_000, 1, "v", "new", 5, "exclusive", False, False)
    changed = decide([spill], Known({visit_id(1): stored}, {}, {}))
    assert set(changed.woken_links) == {5, 9}
    assert changed.woken_clicks == {visit_id(1)}
    assert decide([batch[0]], Known({visit_id(1): stored}, {}, {})).woken_links  # a re-read wakes too
