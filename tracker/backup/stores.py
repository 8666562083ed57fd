"""The stores a backup is made of or restored into: running already, or started for as long as it takes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tracker.settings import Settings
from tracker.stores.embedded import DataFolder, EmbeddedPostgres, EmbeddedValkey
from tracker.stores.errors import StoreError


@contextmanager
def to_read(settings: Settings, progress: Callable[[str], None]) -> Iterator[None]:
    """Both stores up. Embedded ones that nobody runs are started and stopped again. Raises StoreError."""
    needed = _embedded(settings)
    if needed and not settings.data_path.is_dir():
        raise StoreError(f"There is no data folder {settings.data_path}: nothing to back up. Set CLICKBIND_DATA_DIR.")
    folder = DataFolder(settings.data_path)
    if not needed or not _take(folder):
        yield  # elsewhere, or `clickbind up` runs them
        return
    try:
        missing = [name for name in needed if not (settings.data_path / name).is_dir()]
        if missing:
            raise StoreError(
                f"{settings.data_path} holds no {missing[0]} data: nothing to back up. Set CLICKBIND_DATA_DIR."
            )
        with _running(folder, needed, progress):
            yield
    finally:
        folder.release()


@contextmanager
def to_fill(settings: Settings, progress: Callable[[str], None]) -> Iterator[None]:
    """Both stores up and, where embedded, new. Raises StoreError when something is there already or Clickbind runs."""
    folder = DataFolder(settings.data_path)
    folder.hold()
    try:
        needed = _embedded(settings)
        require_new(settings)
        try:
            with _running(folder, needed, progress):
                yield
        except BaseException:  # half a restore is worth nothing, and would be in the next one's way
            for name in needed:
                shutil.rmtree(settings.data_path / name, ignore_errors=True)
            raise
    finally:
        folder.release()


def require_new(settings: Settings) -> None:
    """Raises StoreError when there is an embedded store already."""
    for name in _embedded(settings):
        if (settings.data_path / name).exists():
            raise StoreError(
                f"{settings.data_path / name} exists already. A backup is restored into an empty data folder:"
                " set CLICKBIND_DATA_DIR to a new one, or move the old one away."
            )


def _embedded(settings: Settings) -> list[str]:
    return [name for name, url in (("postgres", settings.database_url), ("valkey", settings.redis_url)) if not url]


def _take(folder: DataFolder) -> bool:
    try:
        folder.hold()
    except StoreError:
        return False
    return True


@contextmanager
def _running(folder: DataFolder, names: list[str], progress: Callable[[str], None]) -> Iterator[None]:
    stores: list[EmbeddedPostgres | EmbeddedValkey] = []
    try:
        for name in names:
            progress(f"Starting {name}")
            store = EmbeddedPostgres(folder) if name == "postgres" else EmbeddedValkey(folder)
            store.start()
            stores.append(store)
        yield
    finally:
        for store in reversed(stores):
            store.stop()
