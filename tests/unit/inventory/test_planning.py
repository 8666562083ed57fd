"""How many links a pool needs, against a simulation of the claim's rule."""

from __future__ import annotations

import heapq
import math
import random
from datetime import timedelta

import pytest

from tracker.inventory.planning import Demand, busiest, forecast, needed_links, shared_share

SIX_HOURS = timedelta(hours=6)


def simulated_share(load: float, links: int, *, clicks: int, seed: int) -> float:
    """Share of shared leases when the link whose lease ends first is taken; a lease lasts one unit of time."""
    source = random.Random(seed)
    ends = [0.0] * links
    now, shared = 0.0, 0
    for number in range(clicks):
        now += source.expovariate(load)
        shared += ends[0] > now and number > 4 * load
        heapq.heapreplace(ends, max(ends[0], now + 1))
    return shared / (clicks - 4 * load)


@pytest.mark.parametrize(("load", "links"), [(5.0, 9), (20.0, 27), (100.0, 115), (100.0, 90)])
def test_the_formula_is_the_claims_rule(load: float, links: int) -> None:
    expected = shared_share(load, links)
    assert simulated_share(load, links, clicks=150_000, seed=1) == pytest.approx(expected, rel=0.15, abs=0.002)


def test_the_promise_is_kept_by_the_rule() -> None:
    for load in (3.0, 40.0):
        assert simulated_share(load, needed_links(load), clicks=150_000, seed=2) < 0.0014


@pytest.mark.parametrize("load", [0.01, 1, 7.5, 100, 1805, 50_000, 1_000_000])
def test_needed_is_the_least_that_does(load: float) -> None:
    needed = needed_links(load)
    assert shared_share(load, needed) <= 0.001 < shared_share(load, needed - 1)
    assert needed - load < 4 * math.sqrt(load) + 5


def test_small_loads_by_hand() -> None:
    assert shared_share(0.5, 1) == pytest.approx(1 - math.exp(-0.5))
    assert shared_share(2, 3) == pytest.approx(1 - math.exp(-2) * (1 + 2 + 2))
    assert shared_share(5, 2) == pytest.approx(1 - math.exp(-5) * 6)
    assert (shared_share(5, 0), shared_share(0, 1), shared_share(0, 0)) == (1, 0, 1)
    assert shared_share(1e6, 1_000_000) == pytest.approx(0.5, abs=0.001)
    assert (shared_share(1e6, 10), shared_share(10, 10**6)) == (1, 0)
    assert needed_links(0) == 0


def test_the_busiest_stretch_is_found_between_whole_hours() -> None:
    assert busiest([1, 5, 9, 2], 2) == 14
    assert busiest([1, 5, 9, 2], 2.5) == 15
    assert busiest([4], 0.5) == 2
    assert busiest([4], 100) == 4
    assert busiest([], 6) == 0


def test_load_is_what_was_seen_or_what_the_last_hour_leads_to() -> None:
    calm = Demand(hours=[100] * 24, last_hour=20, window=SIX_HOURS)
    assert calm.load == pytest.approx(100 * (6 + 1 / 60))
    risen = Demand(hours=[0] * 23 + [300], last_hour=300, window=SIX_HOURS)
    assert risen.load == pytest.approx(300 * (6 + 1 / 60)), "grows before the leases are there"
    assert Demand(last_hour=60, window=SIX_HOURS, stay=540).load == pytest.approx(370)


def test_the_target_grows_with_demand_between_its_bounds() -> None:
    quiet = forecast(Demand(window=SIX_HOURS), 50, at_least=50, at_most=5000)
    assert (quiet.needed, quiet.target, quiet.short, quiet.shared_share) == (0, 50, False, 0.0)
    busy = Demand(last_hour=100, window=SIX_HOURS)
    grown = forecast(busy, 300, at_least=50, at_most=5000)
    assert grown.needed == needed_links(busy.load)
    assert grown.target == math.ceil(grown.needed * 1.2)
    assert grown.short
    assert grown.shared_share == 1
    assert not forecast(busy, grown.needed, at_least=50, at_most=5000).short
    assert forecast(busy, 300, at_least=50, at_most=400).target == 400
    assert forecast(busy, 300, at_least=500, at_most=400).target == 500
