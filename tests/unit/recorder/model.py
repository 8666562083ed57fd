"""What the tables must hold of a set of log entries: slow, obvious, and written from the rules, not from the recorder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from hypothesis import strategies as st

from tracker.clicklog import KIND_BOT, KIND_CLICK, KIND_DUPLICATE, KIND_PREFETCH, Visit
from tracker.recorder.entry import Entry

HOUR_MS = 3_600_000
START_MS = 1_795_300_000_000


class Tables(NamedTuple):
    """Contents of the tables, comparable."""

    clicks: dict[str, tuple[int, int, int | None, str, bool, bool]]  # gross, last ms, link, lease, spilled, is_bot
    visits: dict[str, tuple[str, int | None]]  # click id, link
    prefetches: set[str]
    hours: dict[tuple[str, int], tuple[int, int, int, int]]  # clicks, gross, bots, prefetches; zero rows left out


def expected(entries: Iterable[Entry]) -> Tables:
    """The tables after these entries, whatever their order and however often each was read."""
    by_visit: dict[str, list[Entry]] = {}
    for entry in entries:
        by_visit.setdefault(entry.visit_id, []).append(entry)
    hours: Counter[tuple[str, int, str]] = Counter()
    clicks: dict[str, Entry] = {}
    visits: dict[str, Entry] = {}
    links: dict[str, Entry] = {}
    prefetches = set()
    for visit_id, copies in by_visit.items():
        any_copy = copies[0]
        place = (any_copy.visit.smart_link_id, any_copy.at_ms // HOUR_MS)
        given = next((copy for copy in copies if copy.spilled), any_copy)
        duplicate = next((copy for copy in copies if copy.kind == KIND_DUPLICATE), None)
        links[visit_id] = given
        if any_copy.kind == KIND_PREFETCH:
            prefetches.add(visit_id)
            hours[(*place, "prefetches")] += 1
        elif any_copy.kind == KIND_BOT:
            clicks[visit_id] = given
            hours[(*place, "bots")] += 1
        elif duplicate:
            visits[visit_id] = duplicate
            hours[(*place, "gross")] += 1
        else:
            clicks[visit_id] = given
            hours[(*place, "clicks")] += 1
            hours[(*place, "gross")] += 1
    rows = {}
    for click_id, entry in clicks.items():
        mine = [visit for visit in visits.values() if visit.click_id == click_id]
        last_ms = max([entry.at_ms, *(visit.at_ms for visit in mine)])
        is_bot = entry.kind == KIND_BOT
        rows[click_id] = (1 + len(mine), last_ms, entry.inventory_link_id, entry.lease, entry.spilled, is_bot)
    counted = {
        (link, hour): tuple(hours[(link, hour, name)] for name in ("clicks", "gross", "bots", "prefetches"))
        for link, hour, _ in hours
    }
    stored = {visit_id: (entry.click_id, links[visit_id].inventory_link_id) for visit_id, entry in visits.items()}
    return Tables(rows, stored, prefetches, {place: (c[0], c[1], c[2], c[3]) for place, c in counted.items()})


def visit_id(number: int) -> str:
    """A ULID for a visit; not the real time, which the recorder must not take from it."""
    return f"01kay0{number:020d}"


def entry(
    number: int, kind: str, of: int | None, link: int | None, *, spilled: bool, at_ms: int, home: int = 0
) -> Entry:
    """One log entry of visit `number`."""
    own = visit_id(number)
    visit = Visit(visit_id=own, at_ms=at_ms, smart_link_id=f"LINK{home}", account_id=f"acct{home}")
    return Entry(
        entry_id=f"{number}-{int(spilled)}",
        kind=kind,
        visit_id=own,
        click_id=own if of is None else visit_id(of),
        at_ms=at_ms,
        visitor=f"visitor{number % 3}",
        visitor_by="cookie" if number % 2 else "new",
        inventory_link_id=link,
        lease="reserve" if spilled else "exclusive",
        spilled=spilled,
        visit=visit,
    )


# How one visit can be in the log: each letter an entry, landed in lower case and spilled in upper case.
WAYS = {
    "c": ((KIND_CLICK, False),),
    "C": ((KIND_CLICK, True),),
    "cC": ((KIND_CLICK, False), (KIND_CLICK, True)),
    "d": ((KIND_DUPLICATE, False),),
    "D": ((KIND_DUPLICATE, True),),
    "dC": ((KIND_DUPLICATE, False), (KIND_CLICK, True)),
    "dD": ((KIND_DUPLICATE, False), (KIND_DUPLICATE, True)),
    "cD": ((KIND_CLICK, False), (KIND_DUPLICATE, True)),
    "b": ((KIND_BOT, False),),
    "bB": ((KIND_BOT, False), (KIND_BOT, True)),
    "p": ((KIND_PREFETCH, False),),
    "pP": ((KIND_PREFETCH, False), (KIND_PREFETCH, True)),
}


@st.composite
def logs(draw: st.DrawFn) -> list[list[Entry]]:
    """Batches of entries: every visit in one of the WAYS, in any order, entries read again anywhere."""
    count = draw(st.integers(1, 9))
    ways = [draw(st.sampled_from(sorted(WAYS))) for _ in range(count)]
    clicks = [number for number, way in enumerate(ways) if way in ("c", "C", "cC")]
    made = []
    for number, way in enumerate(ways):
        at_ms = START_MS + draw(st.integers(0, 3)) * HOUR_MS + number
        of = draw(st.sampled_from([*clicks, 99]))  # 99: a click nobody ever sees
        home = of % 2 if any(kind == KIND_DUPLICATE for kind, _ in WAYS[way]) else number % 2
        for kind, spilled in WAYS[way]:
            link = None if kind in (KIND_BOT, KIND_PREFETCH) else draw(st.sampled_from([None, 1, 2, 3]))
            owner = of if kind == KIND_DUPLICATE else None
            made.append(entry(number, kind, owner, link, spilled=spilled, at_ms=at_ms, home=home))
    again = draw(st.lists(st.sampled_from(made), max_size=6))
    order = draw(st.permutations(made + again))
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(order) - 1)), max_size=4)))
    return [order[first:last] for first, last in zip([0, *cuts], [*cuts, len(order)], strict=True)]
