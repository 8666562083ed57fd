"""Counters into rates and quantiles, and what is kept of slow sources."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Hashable
from typing import Any

import pytest

from tracker.dashboard.kept import Kept
from tracker.metrics.pulse import Role, _roles, addresses, place
from tracker.metrics.reading import Count, Window, buckets, greatest, quantile, samples, total
from tracker.settings import ConfigurationError, Settings, load

TEXT = """# TYPE clickbind_edge_requests counter
clickbind_edge_requests_total{outcome="click"} 7.0
clickbind_edge_requests_total{outcome="bot"} 5.0
# TYPE clickbind_edge_claim_seconds histogram
clickbind_edge_claim_seconds_bucket{le="0.001"} 50.0
clickbind_edge_claim_seconds_bucket{le="0.01"} 90.0
clickbind_edge_claim_seconds_bucket{le="+Inf"} 100.0
clickbind_edge_claim_seconds_count 100.0
clickbind_edge_claim_seconds_sum 1.0
# TYPE lag gauge
lag{shard="0"} 2.5
lag{shard="1"} 9.0
"""


def test_a_scrape_is_read() -> None:
    found = samples(TEXT)
    assert total(found, "clickbind_edge_requests_total") == 12
    assert greatest(found, "lag") == 9.0
    assert total(found, "nothing") is None
    assert greatest(found, "nothing") is None
    assert buckets(found, "clickbind_edge_claim_seconds") == {0.001: 50.0, 0.01: 90.0, math.inf: 100.0}
    with pytest.raises(ValueError, match=r"."):
        samples("<html>no figures</html>")


def test_quantiles_lie_within_their_bucket() -> None:
    counted = {0.001: 50.0, 0.01: 90.0, math.inf: 100.0}
    assert quantile(counted, 0.5) == pytest.approx(0.001)
    assert quantile(counted, 0.25) == pytest.approx(0.0005)
    assert quantile(counted, 0.7) == pytest.approx(0.0055)
    assert quantile(counted, 0.99) == pytest.approx(0.01)  # beyond the last bound
    assert quantile({0.001: 0.0, math.inf: 0.0}, 0.5) is None
    assert quantile({}, 0.5) is None


def test_a_window_sums_processes_and_survives_a_restart() -> None:
    window = Window()
    assert window.rate() is None
    window.note("a 1", Count(0, 100, {0.1: 10, math.inf: 10}))
    assert window.rate() is None
    window.note("a 1", Count(10, 200, {0.1: 15, math.inf: 20}))
    window.note("b 1", Count(0, 0, {}))
    window.note("b 1", Count(10, 50, {0.1: 1, math.inf: 1}))
    assert window.rate() == 15
    assert window.claims() == {0.1: 6, math.inf: 11}
    window.forget(75)  # both fell silent
    assert window.rate() is None
    assert window.claims() == {}
    window.note("a 2", Count(80, 3, {}))  # begun anew, counting from nothing
    window.note("a 2", Count(90, 13, {}))
    assert window.rate() == 1
    window.note("a 2", Count(200, 133, {}))
    window.forget(200)
    assert window.rate() == pytest.approx(120 / 110)  # one older count stays to subtract from


def test_roles_are_asked_where_the_settings_say() -> None:
    own = dict(
        addresses(Settings(edge_host="0.0.0.0", edge_port=1, recorder_port=0, worker_port=3, metrics_host="::1"))
    )
    assert own == {"edge": "http://127.0.0.1:1", "worker": "http://[::1]:3"}
    listed = load({"CLICKBIND_HEALTH_ADDRESSES": "edge=http://10.0.0.5:8400/, edge=https://b.example"})
    assert addresses(listed) == [("edge", "http://10.0.0.5:8400"), ("edge", "https://b.example")]
    assert place("http://user:secret@10.0.0.5:8400") == "10.0.0.5:8400"
    for wrong in ("http://10.0.0.5", "api=http://x", "edge=ftp://x", "edge"):
        with pytest.raises(ConfigurationError, match="CLICKBIND_HEALTH_ADDRESSES"):
            load({"CLICKBIND_HEALTH_ADDRESSES": wrong})
    well, ill, dead = Role("edge", "a", True), Role("edge", "a", True, "no"), Role("edge", "a", False, "away")
    assert _roles([well, ill, well]) == (ill,)
    assert _roles([ill, dead]) == (dead,)


async def test_a_slow_source_is_not_waited_for_and_an_old_answer_stays_a_while() -> None:
    now = 0.0
    kept = Kept(lambda: now)
    gate, asked = asyncio.Event(), 0

    async def slow() -> int:
        nonlocal asked
        asked += 1
        await gate.wait()
        return asked

    async def quick() -> str:
        return "here"

    async def broken() -> None:
        raise ConnectionError

    wanted: dict[Hashable, Any] = {"slow": (slow, 5.0), "quick": (quick, 5.0), "broken": (broken, 5.0)}
    assert await kept.get(wanted, 0.01) == {"slow": None, "quick": "here", "broken": None}
    assert await kept.get(wanted, 0.01) == {"slow": None, "quick": "here", "broken": None}
    assert asked == 1  # one fetch at a time, whoever waits
    gate.set()
    assert (await kept.get(wanted, 1))["slow"] == 1
    gate.clear()
    now = 10.0
    assert (await kept.get(wanted, 0.01))["slow"] == 1  # the old one, while the next is fetched
    assert asked == 2
    now = 60.0
    assert (await kept.get(wanted, 0.01))["slow"] is None  # too old to be shown as the present
    gate.set()
    assert (await kept.get(wanted, 1))["slow"] == 2
