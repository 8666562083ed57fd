"""Makes a backup: `make(settings, folder, progress)`."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tracker import __version__
from tracker.backup import database, keys
from tracker.backup.manifest import FORMAT, Manifest, describe, write
from tracker.backup.stores import to_read
from tracker.secrets import Secrets, installation_key
from tracker.settings import Settings
from tracker.stores.errors import StoreError
from tracker.stores.urls import database_url, redis_url

SPILL = "spill"
SECRET = "secret.key"


def make(settings: Settings, folder: Path, progress: Callable[[str], None]) -> Manifest:
    """Back everything up into `folder`, which must be new or empty. Clickbind may run meanwhile. Raises StoreError.

    `folder` appears under its name when all is in it; a backup cut short leaves `<folder>.unfinished`, which the next
    one replaces.
    """
    folder = folder.expanduser().absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StoreError(f"{folder} exists and is not empty. Name a new folder: a backup never overwrites.")
    staged = folder.with_name(folder.name + ".unfinished")
    try:
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir(parents=True, mode=0o700)
    except OSError as error:
        raise StoreError(f"Cannot make {staged}: {error.strerror}.") from error
    before = os.umask(0o077)
    try:
        with to_read(settings, progress):
            manifest = asyncio.run(_copy(settings, staged, progress))
        progress("Writing checksums")
        manifest = _sealed(manifest, staged)
        if folder.exists():
            folder.rmdir()
        staged.rename(folder)
    except OSError as error:
        shutil.rmtree(staged, ignore_errors=True)
        raise StoreError(f"The backup failed: {error.strerror or error}. Is the disk full?") from error
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise
    finally:
        os.umask(before)
    return manifest


async def _copy(settings: Settings, staged: Path, progress: Callable[[str], None]) -> Manifest:
    key = settings.data_path / SECRET
    if not settings.secret_key and key.is_file():
        shutil.copyfile(key, staged / SECRET)
    _copy_spill(settings.spill_path, staged / SPILL)
    found_keys, valkey_version = await keys.dump(redis_url(settings), staged, progress)
    tables, migrations, version, moment = await database.dump(database_url(settings), staged, progress)
    return Manifest(
        format=FORMAT,
        clickbind=__version__,
        made_at=moment,
        postgres=version,
        valkey=valkey_version,
        migrations=migrations,
        tables=tables,
        keys=found_keys,
        key_id=Secrets(installation_key(settings)).key_id.hex(),
        files={},
    )


def _copy_spill(spill: Path, target: Path) -> None:
    # Before Valkey: a file replayed and removed meanwhile is then in the copy of the log.
    target.mkdir(mode=0o700)
    for path in sorted(spill.glob("*.spill")) if spill.is_dir() else []:
        try:
            shutil.copyfile(path, target / path.name)
        except FileNotFoundError:
            continue  # replayed just now


def _sealed(manifest: Manifest, staged: Path) -> Manifest:
    from msgspec.structs import replace

    manifest = replace(manifest, files=describe(staged))
    write(staged, manifest)
    for path in [*staged.rglob("*"), staged]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return manifest
