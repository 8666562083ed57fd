"""`python -m loadtests.examples`: every call of the API, made on a stage that has been played, as the examples of its documentation.

Writes tracker/api/static/examples.json. Run it when a call or an answer has changed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

from loadtests.examples.calls import make_calls
from loadtests.examples.recorder import Recorder
from loadtests.examples.stage import ExampleStage
from loadtests.examples.tidying import Tidying, ordered
from loadtests.screenshots import play
from tracker.settings import Settings
from tracker.stores.urls import database_url

FILE = Path(__file__).parents[2] / "tracker" / "api" / "static" / "examples.json"


async def record(data: Path) -> dict[str, Any]:
    """Play, call, tidy up: `METHOD /path` → {'body': …, status: answer}."""
    stage = ExampleStage(
        Settings(log_level="error", edge_port=0, api_port=0, recorder_port=0, worker_port=0), data, people=20, seed=7
    )
    try:
        await stage.start(lambda text: None)
        await play(stage, people=10, days=10)
        base = f"http://127.0.0.1:{stage.settings.api_port}"
        recorder, began = Recorder(base, stage.api_key), datetime.now(UTC)
        database = await asyncpg.connect(database_url(stage.settings))
        try:
            await make_calls(stage, database, recorder)
        finally:
            await database.close()
            await recorder.close()
        addresses = {
            stage.settings.base_url: "https://go.example.com",
            stage.settings.api_base_url: "https://clickbind.example.com",
            base: "https://clickbind.example.com",
            f"{stage.platform_url}/onlyfans": "https://onlyfans.com",
            stage.platform_url: "https://onlyfans.com",
            stage.receiver_url: "https://tracker.example.com",
            stage.receiver_url.removeprefix("http://"): "tracker.example.com",
            f"{stage.ads_url}/meta": "https://graph.facebook.com",
            stage.ads_url.removeprefix("http://"): "graph.facebook.com",
            "test-key": "your-OnlyFansAPI-key",
            "test-token": "the-access-token-of-the-pixel",
        }
        tidying = Tidying(addresses, began)
        return ordered({name: tidying.tidied(kept) for name, kept in recorder.records.items()}, _reading_order)
    finally:
        await stage.stop()


def _reading_order(name: str) -> tuple[str, str]:
    method, _, path = name.partition(" ")
    return path, method


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.examples", description=__doc__)
    parser.add_argument("--file", type=Path, default=FILE, help="where the examples go")
    file = parser.parse_args().file
    with tempfile.TemporaryDirectory(prefix="clickbind-examples-") as folder:
        os.chmod(folder, 0o711)  # noqa: PTH101 - PostgreSQL's user looks through it
        records = asyncio.run(record(Path(folder) / "data"))
    lines = [f"{json.dumps(name)}: {json.dumps(kept, ensure_ascii=False)}" for name, kept in records.items()]
    file.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{len(records)} operations written to {file}")


if __name__ == "__main__":
    main()
