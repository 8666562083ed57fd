"""What a benchmark runs on: embedded stores of its own, and other people's services as processes beside it; and how it tells its figures."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tracker.stores.embedded import DataFolder, EmbeddedPostgres, EmbeddedValkey
from tracker.stores.processes import die_with_parent


@contextmanager
def stores(path: Path, *kinds: type[EmbeddedPostgres] | type[EmbeddedValkey]) -> Iterator[DataFolder]:
    """Embedded stores running in the folder `path`. Raises StoreError when it is held or one does not start."""
    folder = DataFolder(path)
    folder.hold()
    servers = [kind(folder) for kind in kinds]
    try:
        for server in servers:
            server.start()
        yield folder
    finally:
        for server in reversed(servers):
            server.stop()
        folder.release()


@contextmanager
def database() -> Iterator[str]:
    """The URL of a new PostgreSQL in a folder that goes with it; not migrated."""
    with tempfile.TemporaryDirectory(prefix="clickbind-bench-") as name, stores(Path(name), EmbeddedPostgres) as folder:
        yield folder.database_url


@contextmanager
def emulator(module: str, *arguments: str) -> Iterator[dict[str, str]]:
    """An emulator on a free port; yields the addresses it prints when it is up."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, "--port", "0", *arguments],
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, preexec_fn=die_with_parent(signal.SIGTERM),
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{module} did not start")
        addresses: dict[str, str] = json.loads(line)
        yield addresses
    finally:
        process.terminate()
        process.wait()


def tell(figures: dict[str, Any], as_json: bool) -> None:
    """Print figures: for a program, or a line each for a person."""
    if as_json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):36} {value:>12,}")
