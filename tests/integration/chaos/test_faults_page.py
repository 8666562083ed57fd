"""docs/faults.md names tests; they exist."""

from __future__ import annotations

import re
from pathlib import Path

from loadtests.chaos.schedule import FAULTS


def test_every_test_the_page_names_exists(repo_root: Path) -> None:
    page = (repo_root / "docs" / "faults.md").read_text()
    named = re.findall(r"`([a-z_/]+\.py)::(test_[a-z0-9_]+)`", page)
    assert len(named) > 50
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (repo_root / "tests" / path).exists()
        or not re.search(rf"def {name}\(", (repo_root / "tests" / path).read_text())
    ]
    assert missing == []


def test_every_fault_the_page_names_exists(repo_root: Path) -> None:
    page = (repo_root / "docs" / "faults.md").read_text()
    named = re.findall(r"`((?:kill|stop|term|away|reset|delay|hang|slow|full|clock)-[a-z]+)`", page)
    assert len(set(named)) > 10
    assert set(named) <= set(FAULTS)
