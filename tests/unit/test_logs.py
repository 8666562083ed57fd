"""Logs must never stop what is logged."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

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


TRACEBACK = """
import logging, sys, structlog
from tracker.logs import configure
configure("edge", "info", sys.argv[1])

def work():
    password = "hunter2" * 2
    try:
        raise ValueError("no such thing")
    except ValueError:
        structlog.get_logger().exception("failed")
        logging.getLogger("library").exception("failed too")

work()
"""


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_traceback_shows_no_values_of_variables(form: str, repo_root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TRACEBACK, form],
        stderr=subprocess.PIPE, cwd=repo_root, env=os.environ | {"PYTHONPATH": str(repo_root)}, text=True, check=True,
    )  # fmt: skip
    assert done.stderr.count("ValueError: no such thing") == 2
    assert "hunter2hunter2" not in done.stderr
    assert "Remove `format_exc_info`" not in done.stderr
