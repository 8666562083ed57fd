"""Nonsense for every endpoint, made from the schema: no answer is a 5xx, none is undocumented. Longer with `make fuzz`."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.integration.exports.scene import add_clicks, furnish, served
from tracker.settings import Settings
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client

SECONDS = int(os.environ.get("CLICKBIND_FUZZ_SECONDS", "8"))


@pytest.mark.parametrize("with_key", [True, False])
async def test_nothing_a_stranger_sends_is_a_defect(pool: Pool, redis: Client, tmp_path: Path, with_key: bool) -> None:
    await furnish(pool)
    await add_clicks(pool, 20)
    settings = Settings(rate_limit_minute=0, data_dir=str(tmp_path))
    async with served(pool, redis, settings) as (url, headers):
        key = ["--header", f"Authorization: {headers['Authorization']}"] if with_key else []
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("st")), "run", f"{url}/schema/openapi.json", *key,
            "--checks", "not_a_server_error,status_code_conformance,content_type_conformance",
            "--phases", "coverage,fuzzing", "--max-examples", "3", "--max-time", str(SECONDS), "--no-color",
            *(() if "CLICKBIND_FUZZ_SECONDS" in os.environ else ("--seed", "1", "--no-shrink")),
            cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
    text = output.decode()
    lines = [line[:400] for line in text.splitlines()]
    assert process.returncode == 0, "\n".join(lines[-150:])
    assert "generated" in text, "something was tried"
