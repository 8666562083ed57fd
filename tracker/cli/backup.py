"""`clickbind backup` and `clickbind restore`, as the person on call meets them."""

from __future__ import annotations

import sys
from pathlib import Path

from tracker.backup.make import make
from tracker.backup.manifest import Manifest
from tracker.backup.restore import restore
from tracker.settings import Settings


def run_backup(settings: Settings, folder: Path) -> int:
    """Make a backup and say what is in it. Raises StoreError."""
    manifest = make(settings, folder, _Progress())
    size = sum(file.size for file in manifest.files.values())
    print(f"Backed up to {folder} ({size / 1e6:.1f} MB), as of {manifest.made_at}:\n{summary(manifest)}")
    if "secret.key" in manifest.files:
        print("It holds the secret key: keep it where only you can read it.")
    else:
        print(
            "The secret key is not in it, as CLICKBIND_SECRET_KEY sets it: keep that with the backup, or it cannot be used."
        )
    return 0


def run_restore(settings: Settings, folder: Path) -> int:
    """Restore a backup and say what to do next. Raises StoreError."""
    manifest = restore(settings, folder, _Progress())
    print(f"Restored the backup of {manifest.made_at}, every table and key as written:\n{summary(manifest)}")
    print("Next: start Clickbind. It brings the schema up to date, and records what waited in the click log.")
    return 0


def summary(manifest: Manifest) -> str:
    """The tables and keys that hold something, largest first."""
    counts = sorted({**manifest.tables, **manifest.keys}.items(), key=lambda pair: -pair[1])
    return "\n".join(f"  {count:>12,} {name}" for name, count in counts if count)


class _Progress:
    """One line a topic; on a terminal the line is rewritten."""

    def __init__(self) -> None:
        self._topic = ""

    def __call__(self, text: str) -> None:
        topic = text.partition(":")[0]
        if sys.stderr.isatty():
            print(f"\r\x1b[K{text} …", end="" if topic == self._topic else "\n", file=sys.stderr, flush=True)
        elif topic != self._topic:
            print(f"{topic} …", file=sys.stderr, flush=True)
        self._topic = topic
