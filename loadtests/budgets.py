"""The performance budgets, and what the benchmarks' figures say of them: pure, one `Row` a budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Figures = Mapping[str, Any]  # what every benchmark printed, by its name here


@dataclass(frozen=True)
class Budget:
    """`read` finds the figure in the benchmarks' output; KeyError, or None: not measured. `at_least`: more is better."""

    what: str
    aim: float
    unit: str
    at_least: bool
    part: str  # the benchmark it comes from
    read: Callable[[Figures], float | None]
    note: Callable[[Figures], str] = lambda _: ""


@dataclass(frozen=True)
class Row:
    """A budget and what was reached; None: not measured."""

    budget: Budget
    reached: float | None
    note: str

    @property
    def verdict(self) -> str:
        """'holds', 'falls short' or 'not measured'."""
        if self.reached is None:
            return "not measured"
        holds = self.reached >= self.budget.aim if self.budget.at_least else self.reached <= self.budget.aim
        return "holds" if holds else "falls short"


def _with_store(figures: Figures, name: str) -> str:
    line = figures["redirect_flat"][name]
    return f"{line['ratio_with_store']} × with Valkey's; at full load {line['ratio_at_full']} × and {line['ratio_with_store_at_full']} ×"


def _slowest_report(figures: Figures) -> tuple[float, str]:
    pairs = [
        (value, name)
        for name, found in figures["reports"].items()
        for key, value in found.items()
        if key.startswith("p95")
    ]
    return max(pairs)


BUDGETS = (
    Budget("redirects per core / bare ASGI constant 302, by rate", 0.5, "×", True, "redirect",
           lambda f: f["redirect"]["edge_to_bare"],
           lambda f: f"{f['redirect']['servers']['edge']['rate']:,.0f} of {f['redirect']['servers']['bare']['rate']:,.0f} a second"),
    Budget("the same by processor time of the edge", 0.5, "×", True, "redirect",
           lambda f: f["redirect"]["bare_to_edge_cpu"],
           lambda f: f"{f['redirect']['servers']['edge']['cpu_us']:.0f} µs against {f['redirect']['servers']['bare']['cpu_us']:.0f} µs"),
    Budget("redirects per core / empty Litestar handler, by rate", 1.3, "×", True, "redirect",
           lambda f: f["redirect"]["edge_to_litestar"]),
    Budget("the same by processor time of the edge", 1.3, "×", True, "redirect",
           lambda f: f["redirect"]["litestar_to_edge_cpu"]),
    Budget("redirect p99 at half load", 5.0, "ms", False, "redirect",
           lambda f: f["redirect"]["servers"]["edge at half"]["server_p99_ms"],
           lambda f: f"at {f['redirect']['servers']['edge at half']['rate']:,.0f} a second; beside it an fdatasync alone {f['redirect']['fsync_p99_ms']:.1f} ms"),
    Budget("processor time of a redirect at half load, 100,000 smart links and 1,000,000 pooled links / few", 1.1, "×", False,
           "redirect_flat", lambda f: f["redirect_flat"]["many_links"]["ratio"], lambda f: _with_store(f, "many_links")),
    Budget("the same, 1,000 user agents / 3", 1.1, "×", False,
           "redirect_flat", lambda f: f["redirect_flat"]["many_agents"]["ratio"], lambda f: _with_store(f, "many_agents")),
    Budget("the same, 1,500 bytes more of query / 100", 1.1, "×", False,
           "redirect_flat", lambda f: f["redirect_flat"]["long_query"]["ratio"], lambda f: _with_store(f, "long_query")),
    Budget("recorder / bare COPY of the same rows, same indexes", 0.4, "×", True, "recorder",
           lambda f: f["recorder"]["ratio_to_copy_same_indexes"],
           lambda f: f"{f['recorder']['ratio_to_copy_no_indexes']} × COPY without indexes"),
    Budget("recorder / one core's peak redirect rate", 1.0, "×", True, "recorder",
           lambda f: f["recorder"]["recorder_entries_per_second"] / f["redirect"]["servers"]["edge"]["rate"],
           lambda f: f"{f['recorder']['recorder_entries_per_second']:,} entries a second"),
    Budget("reports, p95, while recorder and rollups catch up with an hour at 100 clicks a second", 100.0, "ms", False, "catching_up",
           lambda f: f["catching_up"]["reports_beside_p95_ms"],
           lambda f: f"{f['catching_up']['reports_alone_p95_ms']} ms before; {f['catching_up']['recorded_per_second']:,} entries"
                     f" a second, in the reports after {f['catching_up']['seconds_until_reports_hold_all']} s"),
    Budget("inbox, webhooks received a second", 2000, "", True, "inbox", lambda f: f["inbox"]["received_per_second"]),
    Budget("inbox, webhooks worked off a second, one worker", 2000, "", True, "inbox",
           lambda f: f["inbox"]["processed_per_second"]),
    Budget("attribution, platform events a second, one worker", 2000, "", True, "attribution",
           lambda f: f["attribution"]["events_per_second"]),
    Budget("webhook received → postback sent, idle system, p99", 250.0, "ms", False, "delivery",
           lambda f: f["delivery"]["latency"]["result"]),
    Budget("GET postbacks per core / bare aiohttp loop", 0.6, "×", True, "delivery",
           lambda f: f["delivery"]["get"]["result"]),
    Budget("CAPI events per core / GET postback rate", 20.0, "×", True, "delivery",
           lambda f: f["delivery"]["capi"]["result"]),
    Budget("claiming deliveries behind 1,000,000 delivered rows / few", 2.0, "×", False, "delivery",
           lambda f: f["delivery"]["claim"]["result"]),
    Budget("slowest report page, p95", 100.0, "ms", False, "reports",
           lambda f: _slowest_report(f)[0], lambda f: _slowest_report(f)[1]),
    Budget("idle `clickbind up`, everything included", 500.0, "MB", False, "footprint",
           lambda f: f["footprint"]["up"]["idle_mb"]),
    Budget("one edge with 100,000 smart links", 150.0, "MB", False, "footprint",
           lambda f: f["footprint"]["edge"]["rss_mb"]),
    Budget("Valkey per idle pooled link", 250.0, "bytes", False, "footprint",
           lambda f: f["footprint"]["pool"]["bytes_per_link"]),
    Budget("`clickbind up` on an existing data folder until it redirects", 3.0, "s", False, "footprint",
           lambda f: f["footprint"]["up"]["start_seconds"]),
    Budget("edge alone with 100,000 smart links until it redirects", 1.0, "s", False, "footprint",
           lambda f: f["footprint"]["edge"]["start_seconds"]),
)  # fmt: skip


def judge(figures: Figures) -> list[Row]:
    """Every budget against the figures there are."""
    rows = []
    for budget in BUDGETS:
        try:
            reached, note = budget.read(figures), budget.note(figures)
        except (KeyError, ValueError, ZeroDivisionError):
            reached, note = None, ""
        rows.append(Row(budget, None if reached is None else float(reached), note))
    return rows


def shown(value: float, unit: str) -> str:
    """A figure as the table has it."""
    text = f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    return f"{text} {unit}".strip()


def table(rows: list[Row]) -> str:
    """Markdown."""
    lines = ["| what | aim | reached | verdict | |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        budget = row.budget
        sign = "≥" if budget.at_least else "≤"
        reached = "–" if row.reached is None else shown(row.reached, budget.unit)
        verdict = f"**{row.verdict}**" if row.verdict == "falls short" else row.verdict
        lines.append(
            f"| {budget.what} | {sign} {shown(budget.aim, budget.unit)} | {reached} | {verdict} | {row.note} |"
        )
    return "\n".join(lines)
