"""Whether a redirect costs the same whatever the traffic looks like: `python -m loadtests.redirect_flat`, some three minutes.

One edge and one Valkey hold 100,000 smart links; a hundred of them draw from a pool of 20,000 links, the others from one of
1,000,000. Rounds of different traffic alternate: few links (the yardstick), all links in turn, 1,000 user agents, 1,500 bytes
more of query. Printed: processor time of a redirect, of the edge alone and with Valkey's, and its ratio to the yardstick of
the same turn (median of the turns), at half of the rate the yardstick reaches, where every shape comes at one rate. `at full`
is the same ratio with every shape as fast as it goes: what goes slower comes in smaller batches and costs more for that alone.
Loopback only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from loadtests.redirect_bench import ACCOUNT, OFFER, SHARD, Bench
from loadtests.redirect_driver import link_id
from tracker.clicklog import LINKS_KEY, EdgeLink, log_key, pool_key, pool_member

FEW, FEW_POOLED = 100, 20_000
SHAPES: dict[str, dict[str, int]] = {
    "few": {},
    "many_links": {"links": 100_000},
    "many_agents": {"agents": 1000},
    "long_query": {"query": 1500},
}
"""What differs from the yardstick, by the name the figures have."""


class FlatBench(Bench):
    """Two accounts, one with few of everything; the log is emptied after a round, the rest stays as it has become."""

    def fill(self) -> None:
        """Both accounts' pools and links."""
        profile = "https://onlyfans.com/creator"
        for account, pooled in ((ACCOUNT, FEW_POOLED), (f"{ACCOUNT}_many", self.options.members)):
            key = pool_key(SHARD, account, OFFER)
            for start in range(10, pooled + 10, 5000):
                numbers = range(start, min(start + 5000, pooled + 10))
                self.client.zadd(key, {pool_member(number, f"{profile}/c{number}"): 0 for number in numbers})
        links: dict[Any, Any] = {}
        for number in range(self.options.many):
            account = ACCOUNT if number < FEW else f"{ACCOUNT}_many"
            reserve = pool_member(1, f"{profile}/c1")
            link = EdgeLink(link_id(number), account, SHARD, OFFER, 21_600_000, "active", profile, reserve)
            links[link.smart_link_id] = msgspec.msgpack.encode(link)
        for start in range(0, len(links), 5000):
            self.client.hset(LINKS_KEY, mapping=dict(list(links.items())[start : start + 5000]))

    def empty(self) -> None:
        """Only the log."""
        self.client.delete(log_key(SHARD))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All turns; per shape the medians of its processor times (microseconds) and of its ratios to the yardstick."""
    full: list[dict[str, dict[str, Any]]] = []
    half: list[dict[str, dict[str, Any]]] = []
    with tempfile.TemporaryDirectory(prefix="clickbind-load-") as folder:
        bench = FlatBench(options, Path(folder))
        try:
            bench.start()
            turn(bench, 0.0)  # what is new to the edge (a user agent, a line of a head) is looked at once
            for _ in range(options.rounds):
                full.append(turn(bench, 0.0))
                half.append(turn(bench, statistics.median(each["few"]["rate"] for each in full) / 2))
        finally:
            bench.stop()
    return {
        name: {
            "cpu_us": round(statistics.median(_edge(each[name]) for each in half), 1),
            "cpu_and_store_us": round(statistics.median(_both(each[name]) for each in half), 1),
            "ratio": _ratio(half, name, _edge),
            "ratio_with_store": _ratio(half, name, _both),
            "ratio_at_full": _ratio(full, name, _edge),
            "ratio_with_store_at_full": _ratio(full, name, _both),
        }
        for name in SHAPES
    }


def turn(bench: FlatBench, rate: float) -> dict[str, dict[str, Any]]:
    """A round of every shape, at a rate (requests a second) or, with 0, as fast as it goes."""
    options, rounds = bench.options, {}
    for name, changes in SHAPES.items():
        vars(options).update({"links": FEW, "agents": 3, "query": 0} | changes)
        options.links = min(options.links, options.many)
        rounds[name] = bench.round("edge", options.seconds, rate)
    return rounds


def _edge(measured: dict[str, Any]) -> float:
    return float(measured["cpu_us"])


def _both(measured: dict[str, Any]) -> float:
    return float(measured["cpu_us"] + measured["store_us"])


def _ratio(turns: list[dict[str, dict[str, Any]]], name: str, cost: Callable[[dict[str, Any]], float]) -> float:
    return round(statistics.median(cost(each[name]) / cost(each["few"]) for each in turns), 3)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one round")
    parser.add_argument("--rounds", type=int, default=5, help="turns of all shapes, of either kind")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--members", type=int, default=1_000_000, help="links in the large pool")
    parser.add_argument("--many", type=int, default=100_000, help="smart links")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    vars(options).update(servers=["edge"], links=FEW, agents=3, query=0)
    figures = measure(options)
    if options.json:
        print(json.dumps(figures))
        return
    print(
        f"{'traffic':12} {'edge us':>8} {'ratio':>6} {'at full':>8} {'with Valkey us':>15} {'ratio':>6} {'at full':>8}"
    )
    for name, line in figures.items():
        print(
            f"{name:12} {line['cpu_us']:8.1f} {line['ratio']:6.2f} {line['ratio_at_full']:8.2f} {line['cpu_and_store_us']:15.1f}"
            f" {line['ratio_with_store']:6.2f} {line['ratio_with_store_at_full']:8.2f}"
        )


if __name__ == "__main__":
    main()
