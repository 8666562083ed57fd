"""The whole product, started as its user starts it, against the fake platform and receiver."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from loadtests.demo.stage import Stage
from tracker.settings import Settings

# Free ports, not the usual ones: two runs that start at once would both find those free.
ANY_PORTS = Settings(log_level="warning", edge_port=0, api_port=0, recorder_port=0, worker_port=0)


@pytest.fixture(scope="session")
async def stage() -> AsyncIterator[Stage]:
    """Everything up: two accounts, four smart links, filled pools, one postback."""
    with tempfile.TemporaryDirectory(prefix="clickbind-test-") as folder:
        Path(folder).chmod(0o711)
        stage = Stage(ANY_PORTS, Path(folder) / "data", people=20, seed=7)
        try:
            await stage.start(lambda text: None)
            yield stage
        finally:
            await stage.stop()
