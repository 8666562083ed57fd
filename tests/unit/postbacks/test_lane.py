"""One destination in the dispatcher: what it leases, sends, gives back and writes down."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from postbacks.breaker import BreakerPolicy
from postbacks.chunk import Chunk, Claimed, Lone
from postbacks.destinations import postback, registry
from postbacks.destinations.base import Destination
from postbacks.lane import MOST_LEASED, Lane
from postbacks.queue import Change, Row
from postbacks.verdicts import Outcome, Verdict
from tests.unit.postbacks.clicks import chunk, item

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
POLICY = BreakerPolicy(threshold=3, cooldown=60.0)


def load(row: Row) -> Destination:
    return postback.load({"url": row.config}, {})


def row(**changes: object) -> Row:
    values: dict[str, object] = {
        "destination_id": "d",
        "kind": "postback",
        "config": "https://h.example/",
        "secrets_sealed": None,
        "failing_since": None,
        "breaker_until": None,
        "version": "1",
    }
    return Row(**(values | changes))  # type: ignore[arg-type]


def lane(**changes: object) -> Lane:
    made = Lane("d", 4, POLICY)
    made.configure(row(**changes), load)
    return made


def leased(*numbers: int) -> Chunk:
    return chunk([item(event_id=f"e{number}") for number in numbers])


def ids(chunks: list[Chunk | Lone]) -> list[str]:
    return [claimed.event_id for chunk in chunks for claimed in chunk.claims()]


def observe(made: Lane, outcome: Outcome, *, at: float, seconds: float = 0.01, halts: bool = False) -> Change | None:
    verdict = Verdict(outcome, "words", halts="disabled" if halts else "")
    return made.observe([verdict], begun=at - seconds, now=at, wall=NOON + timedelta(seconds=at))


def test_it_leases_what_its_slots_need_and_more_when_answers_are_quick() -> None:
    made = lane()
    assert made.appetite(0.0) == 4
    for _ in range(40):
        observe(made, "delivered", at=1.0, seconds=0.001)
    assert made.appetite(1.0) == 4 * 32
    for _ in range(40):
        observe(made, "delivered", at=2.0, seconds=5.0)
    assert made.appetite(2.0) == 4
    assert made.appetite(2.0) <= MOST_LEASED


def test_it_asks_for_more_only_when_half_is_gone() -> None:
    made = lane()
    for number in range(3):
        made.add(leased(number), 100.0)
    assert made.appetite(0.0) == 0
    assert len(made.take(0.0, [])) == 1
    assert made.appetite(0.0) == 2


def test_what_was_leased_together_is_sent_in_turn() -> None:
    made = lane()
    made.add(leased(0, 1, 2), 100.0)
    made.add(leased(3), 100.0)
    assert made.waiting == 4
    assert [ids(made.take(0.0, [])) for _ in range(2)] == [["e0"], ["e1"]]
    assert made.waiting == 2
    assert [each.event_id for each in made.empty()] == ["e2", "e3"]
    assert (made.waiting, made.take(0.0, [])) == (0, [])


def test_a_batch_is_filled_from_what_was_leased_at_different_times() -> None:
    made = lane()
    made.destination = registry.load("meta", {"pixel_id": "123456789012345"}, {"token": "t"})
    made.shrink(14)  # to 7 at once
    for numbers in ((0, 1, 2), (3, 4, 5), (6, 7, 8)):
        made.add(leased(*numbers), 100.0)
    assert ids(made.take(0.0, [])) == [f"e{number}" for number in range(7)]
    assert made.waiting == 2
    assert ids(made.take(0.0, [])) == ["e7", "e8"]


def test_a_lease_too_short_to_send_under_is_given_back() -> None:
    made = lane()
    for number, usable_until in enumerate((5.0, 5.0, 50.0)):
        made.add(leased(number), usable_until)
    returned: list[Claimed] = []
    assert ids(made.take(10.0, returned)) == ["e2"]
    assert [each.event_id for each in returned] == ["e0", "e1"]
    assert made.hungry


def test_no_more_requests_than_slots() -> None:
    made = lane()
    for number in range(9):
        made.add(leased(number), 100.0)
    made.in_flight = 4
    assert made.take(0.0, []) == []
    assert len(made.empty()) == 9


def test_an_open_breaker_takes_nothing_then_one_probe() -> None:
    made = lane()
    for _ in range(3):
        observe(made, "transient", at=10.0)
    assert made.is_open(11.0)
    assert made.appetite(11.0) == 0
    assert made.appetite(70.0) == 1
    made.in_flight = 1
    assert made.appetite(70.0) == 0


def test_opening_is_written_down_and_recovery_clears_it() -> None:
    made = lane()
    assert observe(made, "transient", at=1.0) is None
    assert observe(made, "transient", at=2.0) is None
    change = observe(made, "transient", at=3.0)
    assert change is not None
    assert (change.what, change.since, change.until) == (
        "failing",
        NOON + timedelta(seconds=1),
        NOON + timedelta(seconds=63),
    )
    recovered = observe(made, "delivered", at=70.0)
    assert recovered is not None
    assert recovered.what == "recovered"
    assert observe(made, "delivered", at=71.0) is None


def test_a_passing_failure_costs_no_write() -> None:
    made = lane()
    for at in range(50):
        assert observe(made, "transient" if at % 2 else "delivered", at=float(at)) is None


def test_rare_failures_are_written_down_once_they_last() -> None:
    made = lane()
    assert observe(made, "transient", at=0.0) is None
    change = observe(made, "transient", at=300.0)
    assert change is not None
    assert (change.what, change.since, change.until) == ("failing", NOON, None)


def test_failures_of_ours_are_not_held_against_it() -> None:
    made = lane(failing_since=NOON - timedelta(days=6))
    for at in range(10):
        assert observe(made, "ours", at=float(at)) is None
    assert made.is_open(9.0)


def test_days_of_failures_and_410_halt() -> None:
    failing = lane(failing_since=NOON - timedelta(days=6))
    change = observe(failing, "transient", at=0.0)
    assert change is not None
    assert change.what == "disabled"
    assert "2026-01-25" in change.words
    gone = observe(lane(), "permanent", at=0.0, halts=True)
    assert gone is not None
    assert (gone.what, gone.words, gone.since) == ("disabled", "words", None)
