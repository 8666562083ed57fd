"""Restores a backup into an empty installation: `restore(settings, folder, progress)`."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tracker.backup import database, keys
from tracker.backup.make import SECRET, SPILL
from tracker.backup.manifest import Manifest, check, read
from tracker.backup.stores import require_new, to_fill
from tracker.secrets import Secrets
from tracker.settings import Settings
from tracker.stores.errors import StoreError
from tracker.stores.postgres import migrations
from tracker.stores.urls import database_url, redis_url


def restore(settings: Settings, folder: Path, progress: Callable[[str], None]) -> Manifest:
    """Load the backup in `folder` and hold the result against its manifest. Nothing that exists is overwritten.

    Raises StoreError: a damaged or newer backup, the wrong secret key, a target that is not empty, or a result that differs.
    """
    folder = folder.expanduser().absolute()
    manifest = read(folder)
    newer = set(manifest.migrations) - {number for number, _, _ in migrations()}
    if newer:
        raise StoreError(
            f"The backup was made by a newer Clickbind ({manifest.clickbind}, migration {max(newer)}). Install that one first."
        )
    progress("Checking the backup's files")
    check(folder, manifest)
    require_new(settings)
    _require_key(settings, folder, manifest)
    if any(settings.spill_path.glob("*.spill")):
        raise StoreError(f"Clicks wait in {settings.spill_path}: let an edge replay them first, or move them away.")
    with to_fill(settings, progress):
        asyncio.run(_load(settings, folder, manifest, progress))
    _place_files(settings, folder)
    return manifest


async def _load(settings: Settings, folder: Path, manifest: Manifest, progress: Callable[[str], None]) -> None:
    await database.require_empty(database_url(settings))
    await keys.require_empty(redis_url(settings))
    tables = await database.restore(database_url(settings), folder, progress)
    found = await keys.restore(redis_url(settings), folder, progress)
    wrong = [
        f"{name} has {there.get(name, 0)} rows, the backup {of.get(name, 0)}"
        for there, of in ((tables, manifest.tables), (found, manifest.keys))
        for name in sorted(there.keys() | of.keys())
        if there.get(name, 0) != of.get(name, 0)
    ]
    if wrong:
        raise StoreError("What was restored differs from the backup: " + "; ".join(wrong))


def _require_key(settings: Settings, folder: Path, manifest: Manifest) -> None:
    """The key in force afterwards must open what the backup holds."""
    ours, theirs = settings.data_path / SECRET, folder / SECRET
    if settings.secret_key:
        known = [settings.secret_key, *settings.old_secret_keys]
    elif ours.is_file():
        known = [ours.read_text().strip()]
    elif theirs.is_file():
        known = [theirs.read_text().strip()]
    else:
        raise StoreError(
            "The backup has no secret key, as it was set by CLICKBIND_SECRET_KEY. Set that same key here: without it the"
            " providers' keys in the backup cannot be opened."
        )
    if manifest.key_id not in {Secrets(key).key_id.hex() for key in known}:
        raise StoreError(
            "The backup was sealed under another secret key than the one set here. Set CLICKBIND_SECRET_KEY to the one in"
            " force when it was made, or list that one in CLICKBIND_OLD_SECRET_KEYS."
        )


def _place_files(settings: Settings, folder: Path) -> None:
    target = settings.data_path / SECRET
    if not settings.secret_key and not target.exists():
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write((folder / SECRET).read_bytes())
    spilled = sorted((folder / SPILL).glob("*.spill"))
    if spilled:
        settings.spill_path.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in spilled:
            shutil.copyfile(path, settings.spill_path / path.name)
