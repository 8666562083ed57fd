"""The demo's report: as data, and as tables for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg
from rich import box
from rich.console import Console
from rich.table import Table

from loadtests.demo.books import Invariant, Records
from loadtests.demo.cast import Person, click_name
from loadtests.demo.stage import Stage
from loadtests.demo.visitors import Played


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def collect(
    stage: Stage,
    people: Sequence[Person],
    played: Played,
    invariants: Sequence[Invariant],
    records: Records,
    received: Sequence[dict[str, str]],
    killed: Sequence[str],
    seconds: float,
) -> dict[str, Any]:
    """Everything the report says."""
    clicks = [row for row in records.clicks if not row["is_bot"]]
    names = {smart_link_id: key for key, smart_link_id in stage.smart_links.items()}
    links = []
    for smart_link_id, key in names.items():
        mine = [row for row in clicks if row["smart_link_id"] == smart_link_id]
        credited = [row for row in records.conversions if row["smart_link_id"] == smart_link_id]
        subscribers = sum(row["conversion_type"] == "new_subscriber" for row in credited)
        money = [row for row in credited if row["conversion_type"] == "new_transaction"]
        revenue = sum(row["amount_gross_cents"] for row in money) / 100
        links.append(
            {
                "link": key,
                "clicks": len(mine),
                "visits": sum(row["gross_clicks"] for row in mine),
                "bots": sum(row["is_bot"] and row["smart_link_id"] == smart_link_id for row in records.clicks),
                "subscribers": subscribers,
                "cr_percent": round(100 * subscribers / len(mine), 2) if mine else 0.0,
                "spenders": len({row["fan_id"] for row in money if row["amount_gross_cents"]}),
                "revenue_gross": round(revenue, 2),
                "revenue_net": round(sum(row["amount_net_cents"] for row in money) / 100, 2),
                "arps": round(revenue / subscribers, 2) if subscribers else 0.0,
            }
        )
    return {
        "ok": all(invariant.holds for invariant in invariants),
        "seconds": round(seconds, 1),
        "killed": list(killed),
        "links": links,
        "redirect_ms": {
            name: round(1000 * percentile(played.latencies, share), 2)
            for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
        },
        "leases": {
            lease: sum(row["lease"] == lease for row in clicks) for lease in ("exclusive", "shared", "reserve", "none")
        },
        "postbacks": {
            "arrived": len({row["cid"] for row in received}),
            "attempts": sum(row["attempts"] for row in records.deliveries),
            "deliveries": len(records.deliveries),
            "delivered": sum(row["state"] == "delivered" for row in records.deliveries),
        },
        "invariants": [
            {"name": i.name, "holds": i.holds, "expected": i.expected, "found": i.found, "wrong": list(i.wrong)}
            for i in invariants
        ],
        "fans": _fans(people, played, records),
    }


def _fans(people: Sequence[Person], played: Played, records: Records) -> list[dict[str, Any]]:
    bound = {row["fan_id"]: row for row in records.bindings if row["rule"] != "clicked_again"}
    moved = {row["fan_id"]: row for row in records.bindings if row["rule"] == "clicked_again"}
    reasons = {row["fan_id"]: row["unattributed_reason"] for row in records.fans}
    revenue: dict[str, int] = {}
    for row in records.conversions:
        if row["conversion_type"] == "new_transaction":
            revenue[row["fan_id"]] = revenue.get(row["fan_id"], 0) + row["amount_gross_cents"]
    rows = []
    for person in people:
        fan = played.fans.get(person.fbclid)
        if fan is None:
            continue
        credit = bound.get(fan)
        later = moved.get(fan)
        rows.append(
            {
                "fan": fan,
                "kind": person.kind,
                "truth": click_name(person.credited) or f"– {person.unattributed_reason}",
                "credited": click_name(credit["fbclid"]) if credit else f"– {reasons.get(fan)}",
                "confidence": credit["confidence"] if credit else None,
                "then": click_name(later["fbclid"]) if later else None,
                "revenue": revenue.get(fan, 0) / 100,
                "right": (credit["fbclid"] if credit else None) == person.credited
                and (later["fbclid"] if later else None) == (person.moved_fbclid if person.moves_to else None),
            }
        )
    return rows


def show(console: Console, result: dict[str, Any]) -> None:
    """Print the report."""
    fans = Table(
        title="Attribution against the ground truth, fan by fan",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for name in ("fan", "kind", "really came by", "credited to", "moved to", "gross $", ""):
        fans.add_column(name, justify="right" if name == "gross $" else "left", no_wrap=True)
    for row in result["fans"]:
        mark = "[green]right[/]" if row["right"] else "[red]WRONG[/]"
        fans.add_row(
            row["fan"], row["kind"], row["truth"], row["credited"], row["then"] or "", f"{row['revenue']:.2f}", mark
        )
    console.print(fans)
    links = Table(title="Smart links", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("link", "clicks", "visits", "bots", "subs", "CR %", "spent", "gross $", "net $", "ARPS $"):
        links.add_column(name, justify="left" if name == "link" else "right", no_wrap=True)
    for row in result["links"]:
        links.add_row(
            row["link"], str(row["clicks"]), str(row["visits"]), str(row["bots"]), str(row["subscribers"]), f"{row['cr_percent']:.2f}",
            str(row["spenders"]), f"{row['revenue_gross']:.2f}", f"{row['revenue_net']:.2f}", f"{row['arps']:.2f}",
        )  # fmt: skip
    console.print(links)
    latency, posts = result["redirect_ms"], result["postbacks"]
    console.print(
        f"Redirects: p50 {latency['p50']} ms, p95 {latency['p95']} ms, p99 {latency['p99']} ms (as the visitor sees them, this machine"
        f" doing everything). Leases: {', '.join(f'{count} {lease}' for lease, count in result['leases'].items() if count)}."
    )
    console.print(
        f"Postbacks: {posts['delivered']} of {posts['deliveries']} delivered, in {posts['attempts']} attempts (the receiver refuses a tenth)."
    )
    if result["killed"]:
        console.print(f"Killed with -9 on the way: {', '.join(result['killed'])}.")
    checks = Table(title="The books", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("must hold", "expected", "found", ""):
        checks.add_column(name, justify="right" if name in ("expected", "found") else "left")
    for row in result["invariants"]:
        checks.add_row(
            row["name"], str(row["expected"]), str(row["found"]), "[green]holds[/]" if row["holds"] else "[red]FAILS[/]"
        )
    console.print(checks)
    for row in result["invariants"]:
        for line in row["wrong"][:10]:
            console.print(f"  {row['name']}: {line}", markup=False)
    verdict = "[green]Every invariant holds.[/]" if result["ok"] else "[red]Some invariants fail.[/]"
    console.print(f"{verdict} ({result['seconds']} s)")


def news(row: asyncpg.Record) -> str:
    """One line of the live tail."""
    return f"{row['at']:%H:%M:%S}  {row['what']:20} {row['link'] or '':18} {row['id']}  {row['words']}"
