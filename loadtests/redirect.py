"""How much of a bare server's speed the real redirect keeps: `python -m loadtests.redirect`, about two minutes.

Servers, one process each, same HTTP protocol and settings, same core, driven by the same keep-alive client on another core: a
bare ASGI constant 302, an empty Litestar handler, and the edge on a Valkey that fsyncs each write before it answers; on request
(`--servers`) also `direct`, the constant 302 given the edge's short way past ASGI, and `granian`. Rounds alternate; the table
gives medians and the edge's ratio to the others of the same turn (median), by requests a second and by processor time: of the edge's process (cpu us) and
of it together with Valkey's (+ store us). Each request of the edge is a click of its own (unique `ecid`); after each round the
click log must hold exactly the clicks that were answered. The last rounds, three of twice the length after one that is not
counted, drive the edge at half its rate: `server p99` is taken by the edge's own clock, from the last byte of a request read to the
first byte of its answer written; the driver's p99 beside it holds the driver's own waiting too; there the driver runs only when
Valkey, whose core it shares, does not. Loopback only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from loadtests.redirect_bench import Bench
from loadtests.redirect_driver import link_id
from loadtests.redirect_servers import free_port

__all__ = ["free_port", "link_id"]

FIGURES = ("rate", "p50_ms", "p99_ms", "cpu_us", "store_us", "in_5_ms", "server_p99_ms")
SERVERS = ("bare", "litestar", "edge")
AT_HALF = "edge at half"
AT_HALF_ROUNDS = 3


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """All rounds; the summary."""
    results: dict[str, list[dict[str, Any]]] = {kind: [] for kind in options.servers}
    floors: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory(prefix="clickbind-load-") as folder:
        bench = Bench(options, Path(folder))
        try:
            bench.start()
            for _ in range(options.rounds):
                for kind in options.servers:
                    results[kind].append(bench.round(kind, options.seconds))
            if "edge" in results:
                rate = statistics.median(result["rate"] for result in results["edge"]) / 2
                floors.append(bench.floor())
                bench.round("timed", options.seconds, rate)  # its first requests meet cold caches: not counted
                results[AT_HALF] = [bench.round("timed", 2 * options.seconds, rate) for _ in range(AT_HALF_ROUNDS)]
                floors.append(bench.floor())
        finally:
            bench.stop()
    medians = {
        kind: {name: statistics.median(result[name] for result in rounds) for name in FIGURES}
        for kind, rounds in results.items()
    }
    summary: dict[str, Any] = {"servers": medians, "rounds": {}}
    if floors:
        summary["fsync_p99_ms"], summary["wake_p99_ms"] = map(max, zip(*floors, strict=True))
    for kind, rounds in results.items():
        summary["rounds"][kind] = [round(result["rate"]) for result in rounds]
    if "edge" in medians:
        for other in ("bare", "litestar"):
            if other in medians:
                turns = list(zip(results["edge"], results[other], strict=True))
                summary[f"edge_to_{other}"] = statistics.median(edge["rate"] / of["rate"] for edge, of in turns)
                summary[f"{other}_to_edge_cpu"] = statistics.median(of["cpu_us"] / edge["cpu_us"] for edge, of in turns)
                summary[f"{other}_to_edge_and_store_cpu"] = statistics.median(
                    of["cpu_us"] / (edge["cpu_us"] + edge["store_us"]) for edge, of in turns
                )
        summary["clicks_checked"] = sum(result["answered"] for kind in ("edge", AT_HALF) for result in results[kind])
    return summary


def show(summary: dict[str, Any]) -> None:
    """The summary as a table."""
    print(
        f"{'server':20} {'req/s':>8} {'p50 ms':>8} {'p99 ms':>8} {'cpu us':>7} {'+ store':>8} {'% in 5 ms':>10} {'server p99':>11}   rounds"
    )
    for kind, line in summary["servers"].items():
        rounds = " ".join(map(str, summary["rounds"].get(kind, [])))
        figures = f"{line['rate']:8.0f} {line['p50_ms']:8.2f} {line['p99_ms']:8.2f} {line['cpu_us']:7.1f}"
        print(
            f"{kind:20} {figures} {line['store_us']:8.1f} {line['in_5_ms']:10.2f} {line['server_p99_ms']:11.2f}   {rounds}"
        )
    for other, aim in (("bare", "0.50"), ("litestar", "1.30")):
        if f"edge_to_{other}" in summary:
            rate, cpu = summary[f"edge_to_{other}"], summary[f"{other}_to_edge_cpu"]
            both = summary[f"{other}_to_edge_and_store_cpu"]
            print(
                f"edge / {other} (aim {aim}): {rate:.2f} by requests a second, by processor time {cpu:.2f} (edge alone)"
                f" and {both:.2f} (edge and Valkey)"
            )
    if AT_HALF in summary["servers"]:
        p99 = summary["servers"][AT_HALF]["server_p99_ms"]
        print(
            f"p99 at half of that load (aim 5 ms): {p99:.1f} ms by the edge's clock; just before and after, an fdatasync alone took"
            f" {summary['fsync_p99_ms']:.1f} ms and a process woke {summary['wake_p99_ms']:.1f} ms late (p99 each)"
        )
    if "clicks_checked" in summary:
        print(f"clicks answered and found in the log: {summary['clicks_checked']}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--members", type=int, default=20_000, help="pooled links")
    parser.add_argument("--links", type=int, default=100, help="smart links")
    parser.add_argument("--agents", type=int, default=3, help="distinct user agents")
    parser.add_argument("--query", type=int, default=0, help="bytes added to each query string")
    parser.add_argument(
        "--servers",
        type=lambda text: text.split(","),
        default=list(SERVERS),
        help="of bare, direct, litestar, edge, granian",
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    summary = compare(options)
    if options.json:
        print(json.dumps(summary, indent=2))
    else:
        show(summary)


if __name__ == "__main__":
    main()
