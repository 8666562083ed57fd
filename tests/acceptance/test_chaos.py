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
    # With this seed the worker is killed early, so that what it held is free again soon after the last visitor.
    faults = (
        "kill-edge,stop-valkey,kill-valkey,full-log,reset-postgres,kill-worker,away-postgres,term-edge,kill-recorder"
    )
    code, report = await _run(
        "loadtests.chaos", "--seconds", "10", "--seed", "534", "--faults", faults, "--settle", "180"
    )
    assert _wrong(report) == {}
    assert code == 0
    assert sorted({fault["name"] for fault in report["faults"]}) == sorted(faults.split(","))
    # The seed decides how many come; whoever gets no answer asks again.
    assert report["people"] > 80
    assert report["answered"] >= report["people"]
    assert report["fans"] > 5
    for name in ("edge", "recorder", "worker", "postgres", "valkey"):
        assert report["restarts"][name] >= 1, name


@pytest.mark.timeout(300)
async def test_the_books_balance_on_a_cluster_after_a_failover_and_a_resharding() -> None:
    code, report = await _run("loadtests.cluster", "--seconds", "7", "--rate", "200", "--people", "8")
    assert _wrong(report) == {}
    assert code == 0
    assert "moved" in report["blows"]["reshard"]
    assert "killed" in report["blows"]["failover"]
    assert report["confirmed"] > 0
    assert report["people"] > 30
    assert report["redirects"] >= report["people"]
