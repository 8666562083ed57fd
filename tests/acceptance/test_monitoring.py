"""Every role tells how it does, and all that the dashboard and the alerts ask for exists."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from loadtests.demo.stage import Stage
from tests.integration.edge.conftest import PHONE

METRIC = re.compile(r"\b((?:clickbind|process)_\w+)\b")
DEPLOY = Path(__file__).parent.parent.parent / "deploy"


def expressions() -> Iterator[tuple[str, str]]:
    """(where it stands, PromQL) of every panel and every rule."""
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield f"panel {panel['title']}", target["expr"]
    for name, expression in re.findall(r"- alert: (\w+)\n\s+expr: (.+)\n", (DEPLOY / "alerts.yml").read_text()):
        yield f"alert {name}", expression


async def scrape(stage: Stage) -> dict[str, set[str]]:
    """Sample names by role."""
    settings = stage.settings
    ports = {
        "edge": settings.edge_port,
        "api": settings.api_port,
        "recorder": settings.recorder_port,
        "worker": settings.worker_port,
    }
    found = {}
    for role, port in ports.items():
        async with stage.session.get(f"http://127.0.0.1:{port}/metrics") as answer:
            assert answer.status == 200, role
            families = text_string_to_metric_families(await answer.text())
            found[role] = {sample.name for family in families for sample in family.samples}
    return found


async def convert(stage: Stage) -> None:
    """A click that ends in a delivery, so that everything has been counted once."""
    url = stage.link_url("native") + "?ecid=monitored"
    async with stage.session.get(url, headers={"User-Agent": PHONE}, allow_redirects=False) as answer:
        place = answer.headers["Location"]
    body: dict[str, Any] = {"account_id": stage.platform_accounts["ava"], "link_url": place, "click": False}
    await stage.admin("fans/subscribe", body)


async def test_what_dashboard_and_alerts_ask_for_exists(stage: Stage) -> None:
    asked = {(name, where) for where, expression in expressions() for name in METRIC.findall(expression)}
    assert len(asked) > 50
    await convert(stage)
    missing: set[tuple[str, str]] = set()
    for _ in range(250):
        roles = await scrape(stage)
        told = set().union(*roles.values())
        missing = {(name, where) for name, where in asked if name not in told}
        if not missing:
            break
        await asyncio.sleep(0.1)
    assert missing == set()
    for role, names in roles.items():
        assert "process_resident_memory_bytes" in names, role


async def test_each_role_is_alive_and_ready(stage: Stage) -> None:
    for port in (
        stage.settings.recorder_port,
        stage.settings.worker_port,
        stage.settings.api_port,
        stage.settings.edge_port,
    ):
        for path in ("live", "ready"):
            async with stage.session.get(f"http://127.0.0.1:{port}/health/{path}") as answer:
                assert answer.status == 200, await answer.text()


async def test_the_api_gives_no_figures_through_a_proxy_and_no_ids(stage: Stage) -> None:
    base = f"http://127.0.0.1:{stage.settings.api_port}"
    async with stage.session.get(f"{base}/metrics", headers={"X-Forwarded-For": "203.0.113.9"}) as answer:
        assert answer.status == 404
    smart_link = stage.smart_links["native"]
    await stage.api("GET", f"smart-links/{smart_link}")
    async with stage.session.get(f"{base}/no/such/page-{smart_link}") as answer:
        assert answer.status == 404
    async with stage.session.get(f"{base}/metrics") as answer:
        text = await answer.text()
    assert 'route="/api/smart-links/{smart_link_id}"' in text
    assert smart_link not in text


def test_alerts_say_what_to_do() -> None:
    text = (DEPLOY / "alerts.yml").read_text()
    alerts = text.split("- alert: ")[1:]
    assert len(alerts) >= 15
    for alert in alerts:
        for word in ("expr:", "severity:", "summary:", "action:"):
            assert word in alert, alert.splitlines()[0]


def test_every_port_prometheus_asks_is_a_role_s() -> None:
    from tracker.settings import Settings

    defaults = Settings()
    ports = {int(port) for port in re.findall(r"port: (\d+)", (DEPLOY / "prometheus.yml").read_text())}
    assert ports == {defaults.edge_port, defaults.api_port, defaults.recorder_port, defaults.worker_port}
