"""What excuses an event that a receiver took twice."""

from __future__ import annotations

import pytest

from loadtests.storm_books import Kill, unexplained

KILLS = [Kill(10.0, 10.5, {"a", "b"}), Kill(20.0, 20.5, {"a"})]


@pytest.mark.parametrize(
    ("event_id", "received", "left"),
    [
        ("a", [9.0, 15.0], 0),
        ("a", [9.0, 15.0, 25.0], 0),
        ("a", [15.0, 21.0], 0),
        ("a", [9.0, 15.0, 16.0], 1),  # the second kill comes too late for the second of them
        ("a", [9.0, 15.0, 25.0, 26.0], 1),  # one kill, one repeat
        ("a", [11.0, 15.0], 1),  # both came between the kills
        ("b", [9.0, 10.4], 1),  # the dead one may still have been at work
        ("b", [9.0, 15.0], 0),
        ("b", [9.0, 15.0, 25.0], 1),
        ("c", [9.0, 15.0], 1),  # nobody held it
        ("c", [9.0], 0),
    ],
)
def test_each_kill_excuses_one_repeat_of_what_it_found_leased(event_id: str, received: list[float], left: int) -> None:
    assert unexplained(KILLS, event_id, received) == left
