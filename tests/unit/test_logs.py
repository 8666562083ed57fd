"""Logs must never stop what is logged."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

WORK = """
import resource, structlog
from tracker.logs import configure
configure("edge", "info", "json")
log = structlog.get_logger()
log.info("first")
resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
for _ in range(3):
    log.error("no room for this")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.info("last")
"""


def test_a_full_disk_under_the_log_stops_nothing(tmp_path: Path, repo_root: Path) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    with (tmp_path / "log").open("wb") as log:
        done = subprocess.run(
            [sys.executable, "-c", WORK], stderr=log, cwd=repo_root, env=os.environ | {"PYTHONPATH": str(repo_root)}
        )
    assert done.returncode == 0
    lines = (tmp_path / "log").read_text()
    assert "first" in lines
    assert "last" in lines
    assert "no room" not in lines
