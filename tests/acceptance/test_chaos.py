"""The chaos run and the cluster run, short: the books balance whatever struck. The long runs are commands (docs/faults.md)."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import pytest


async def _run(*arguments: str) -> tuple[int, dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments, "--json", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert out, err.decode()
    assert process.returncode is not None
    return process.returncode, json.loads(out)


def _wrong(report: dict[str, Any]) -> dict[str, Any]:
    return {book["name"]: book for book in report["books"] if not book["holds"]}


@pytest.mark.timeout(300)
async def test_the_books_balance_after_faults_of_every_kind() -> None:
    faults = "kill-edge,stop-valkey,full-log,reset-postgres,kill-worker,away-postgres,term-edge,kill-recorder"
    code, report = await _run(
        "loadtests.chaos", "--seconds", "12", "--seed", "4", "--faults", faults, "--settle", "150"
    )
    assert _wrong(report) == {}
    assert code == 0
    assert sorted({fault["name"] for fault in report["faults"]}) == sorted(faults.split(","))
    assert report["answered"] > 100
    assert report["fans"] > 5
    assert report["restarts"]["worker"] >= 1
    assert report["restarts"]["postgres"] >= 1
    assert report["restarts"]["valkey"] >= 1


@pytest.mark.timeout(300)
async def test_the_books_balance_on_a_cluster_after_a_failover_and_a_resharding() -> None:
    code, report = await _run("loadtests.cluster", "--seconds", "12", "--rate", "200", "--people", "6")
    assert _wrong(report) == {}
    assert code == 0
    assert "moved" in report["blows"]["reshard"]
    assert "killed" in report["blows"]["failover"]
    assert report["confirmed"] > 500
    assert report["redirects"] > 50
