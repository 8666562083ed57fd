"""Whether a redirect costs the same whatever the traffic looks like: `python -m loadtests.redirect_flat`, some three minutes.

One edge and one Valkey hold 100,000 smart links; a hundred of them draw from a pool of 20,000 links, the others from one of
1,000,000. Rounds of different traffic alternate: few links (the yardstick), all links in turn, 1,000 user agents, 1,500 bytes
more of query. Printed: processor time of a redirect, of the edge alone and with Valkey's, and its ratio to the yardstick of
the same turn (median of the turns). Loopback only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
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
    turns: list[dict[str, dict[str, Any]]] = []
    with tempfile.TemporaryDirectory(prefix="clickbind-load-") as folder:
        bench = FlatBench(options, Path(folder))
        try:
            bench.start()
            for turn_number in range(options.rounds + 1):
                turn = {}
                for name, changes in SHAPES.items():
                    vars(options).update({"links": FEW, "agents": 3, "query": 0} | changes)
                    options.links = min(options.links, options.many)
                    turn[name] = bench.round("edge", options.seconds)
                if (
                    turn_number
                ):  # in the first, what is new to the edge (a user agent, a line of a head) is looked at once
                    turns.append(turn)
        finally:
            bench.stop()
    figures: dict[str, Any] = {}
    for name in SHAPES:
        alone = [turn[name]["cpu_us"] for turn in turns]
        both = [turn[name]["cpu_us"] + turn[name]["store_us"] for turn in turns]
        few = [turn["few"]["cpu_us"] for turn in turns]
        few_both = [turn["few"]["cpu_us"] + turn["few"]["store_us"] for turn in turns]
        figures[name] = {
            "cpu_us": round(statistics.median(alone), 1),
            "cpu_and_store_us": round(statistics.median(both), 1),
            "ratio": round(statistics.median(a / b for a, b in zip(alone, few, strict=True)), 3),
            "ratio_with_store": round(statistics.median(a / b for a, b in zip(both, few_both, strict=True)), 3),
        }
    return figures


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one round")
    parser.add_argument("--rounds", type=int, default=7, help="turns of all shapes")
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
    print(f"{'traffic':16} {'edge us':>8} {'ratio':>7} {'with Valkey us':>15} {'ratio':>7}")
    for name, line in figures.items():
        print(
            f"{name:16} {line['cpu_us']:8.1f} {line['ratio']:7.2f} {line['cpu_and_store_us']:15.1f} {line['ratio_with_store']:7.2f}"
        )


if __name__ == "__main__":
    main()
