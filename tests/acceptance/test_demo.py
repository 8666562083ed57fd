"""`clickbind demo --once --json` is the product's promise in one command: its books must balance, killed or not."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import pytest

# Products that other tests start beside this one may have the usual ports.
ANY_PORTS = {f"CLICKBIND_{role}_PORT": "0" for role in ("EDGE", "API", "RECORDER", "WORKER")}


async def _demo(*arguments: str) -> tuple[int, dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tracker.cli.main", "demo", "--once", "--json", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=os.environ | ANY_PORTS,
    )  # fmt: skip
    out, err = await process.communicate()
    assert out, err.decode()
    assert process.returncode is not None
    return process.returncode, json.loads(out)


def _failing(result: dict[str, Any]) -> dict[str, Any]:
    return {row["name"]: row for row in result["invariants"] if not row["holds"]}


@pytest.mark.timeout(240)
async def test_every_invariant_holds() -> None:
    code, result = await _demo("--fans", "80", "--seed", "11")
    assert _failing(result) == {}
    assert (code, result["ok"]) == (0, True)
    assert len(result["invariants"]) >= 15
    assert all(row["right"] for row in result["fans"])
    assert sum(row["subscribers"] for row in result["links"]) > 10
    assert result["postbacks"]["attempts"] > result["postbacks"]["deliveries"], "the receiver refused nothing"


@pytest.mark.timeout(240)
async def test_every_invariant_holds_when_everything_is_killed_on_the_way() -> None:
    code, result = await _demo("--fans", "80", "--seed", "12", "--chaos", "edge,recorder,worker,valkey,postgres")
    assert _failing(result) == {}
    assert sorted(result["killed"]) == ["edge", "postgres", "recorder", "valkey", "worker"]
    assert all(row["right"] for row in result["fans"])
    assert code == 0


async def test_bad_arguments_are_refused() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tracker.cli.main", "demo", "--once", "--chaos", "moon", stderr=asyncio.subprocess.PIPE
    )
    _, err = await process.communicate()
    assert process.returncode == 2
    assert "moon" in err.decode()
