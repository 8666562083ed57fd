"""Turns: never more than allowed in any second, whoever asks."""

from __future__ import annotations

from tracker.providers.pace import Pace


class Clock:
    """A clock that moves when told."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_turns_are_spaced_and_unused_ones_do_not_pile_up() -> None:
    clock = Clock()
    pace = Pace(10.0, clock=clock)
    assert [round(pace.take(), 3) for _ in range(4)] == [0.0, 0.1, 0.2, 0.3]
    clock.now += 60
    assert [round(pace.take(), 3) for _ in range(2)] == [0.0, 0.1]


def test_a_bucket_gives_its_burst_then_its_rate() -> None:
    clock = Clock()
    pace = Pace(1.0, 3, clock=clock)
    assert [pace.take() for _ in range(5)] == [0.0, 0.0, 0.0, 1.0, 2.0]
    clock.now += 4
    assert pace.take() == 0.0


def test_who_leaves_some_to_others_waits_until_there_are_some() -> None:
    clock = Clock()
    pace = Pace(1.0, 5, clock=clock)
    assert pace.short_of(4) == 0.0
    assert pace.take() == 0.0
    assert pace.short_of(4) == 1.0
    assert pace.short_of(3) == 0.0
    assert pace.short_of(99) == 1.0, "no more is waited for than there can be"


def test_the_providers_word_counts_only_when_it_is_less() -> None:
    clock = Clock()
    pace = Pace(1.0, 60, clock=clock)
    pace.told(1)
    assert [pace.take() for _ in range(2)] == [0.0, 1.0]
    pace.told(50)
    assert pace.take() == 2.0
