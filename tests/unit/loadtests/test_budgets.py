"""The performance table: each budget is read from the right figure and judged the right way round."""

from __future__ import annotations

from typing import Any

import pytest

from loadtests.budgets import BUDGETS, judge, table
from loadtests.performance import COMMANDS


def figures() -> dict[str, Any]:
    """As the benchmarks print them; every budget just holds."""
    return {
        "redirect": {
            "servers": {
                "bare": {"rate": 20000.0, "cpu_us": 40.0},
                "edge": {"rate": 10000.0, "cpu_us": 80.0},
                "edge at half": {"server_p99_ms": 5.0, "rate": 5000.0},
            },
            "fsync_p99_ms": 0.5,
            "edge_to_bare": 0.5,
            "bare_to_edge_cpu": 0.5,
            "edge_to_litestar": 1.3,
            "litestar_to_edge_cpu": 1.3,
        },
        "redirect_flat": {
            name: {"ratio": 1.1, "ratio_with_store": 1.2, "ratio_at_full": 1.2, "ratio_with_store_at_full": 1.3}
            for name in ("many_links", "many_agents", "long_query")
        },
        "recorder": {
            "ratio_to_copy_same_indexes": 0.4,
            "ratio_to_copy_no_indexes": 0.2,
            "recorder_entries_per_second": 10000,
        },
        "catching_up": {
            "reports_beside_p95_ms": 100.0,
            "reports_alone_p95_ms": 20.0,
            "recorded_per_second": 9000,
            "seconds_until_reports_hold_all": 60.0,
        },
        "inbox": {"received_per_second": 2000, "processed_per_second": 2000},
        "attribution": {"events_per_second": 2000},
        "delivery": {
            "latency": {"result": 250},
            "get": {"result": 0.6},
            "capi": {"result": 20},
            "claim": {"result": 2},
        },
        "reports": {"totals": {"p50 ms": 1.0, "p95 ms": 7.0}, "by country": {"p50 ms": 50.0, "p95 ms": 100.0}},
        "footprint": {
            "up": {"idle_mb": 500, "start_seconds": 3},
            "edge": {"rss_mb": 150, "start_seconds": 1},
            "pool": {"bytes_per_link": 250},
        },
    }


def test_at_the_budget_all_hold() -> None:
    rows = judge(figures())
    assert [row.verdict for row in rows] == ["holds"] * len(BUDGETS)
    assert next(row for row in rows if "report page" in row.budget.what).note == "by country"


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("redirect", "edge_to_bare"), 0.49, "bare ASGI"),
        (("redirect", "edge_to_litestar"), 1.29, "Litestar"),
        (("redirect", "servers", "edge at half", "server_p99_ms"), 5.1, "half load"),
        (("redirect_flat", "many_links", "ratio"), 1.11, "1,000,000 pooled"),
        (("redirect_flat", "many_agents", "ratio"), 1.11, "user agents"),
        (("redirect_flat", "long_query", "ratio"), 1.11, "of query"),
        (("recorder", "ratio_to_copy_same_indexes"), 0.39, "COPY"),
        (("recorder", "recorder_entries_per_second"), 9999, "peak redirect rate"),
        (("catching_up", "reports_beside_p95_ms"), 101, "catch up"),
        (("inbox", "received_per_second"), 1999, "received a second"),
        (("inbox", "processed_per_second"), 1999, "worked off"),
        (("attribution", "events_per_second"), 1999, "platform events"),
        (("delivery", "latency", "result"), 251, "postback sent"),
        (("delivery", "capi", "result"), 19, "CAPI"),
        (("reports", "totals", "p95 ms"), 101, "report page"),
        (("footprint", "up", "idle_mb"), 501, "idle"),
        (("footprint", "edge", "rss_mb"), 151, "one edge"),
        (("footprint", "pool", "bytes_per_link"), 251, "idle pooled link"),
        (("footprint", "up", "start_seconds"), 3.1, "existing data folder"),
    ],
)
def test_a_hair_beyond_falls_short(path: tuple[str, ...], value: float, words: str) -> None:
    changed = figures()
    place = changed
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    short = [row.budget.what for row in judge(changed) if row.verdict == "falls short"]
    assert len(short) == 1
    assert words in short[0]


def test_what_was_not_measured_says_so() -> None:
    rows = judge({})
    assert {row.verdict for row in rows} == {"not measured"}
    text = table(rows)
    assert text.count("not measured") == len(BUDGETS)
    assert len(text.splitlines()) == len(BUDGETS) + 2


def test_every_budget_names_a_benchmark_that_is_run() -> None:
    assert {budget.part for budget in BUDGETS} == set(COMMANDS)
